// The events of metrics.jsonl as curves of TensorBoard, with the tags that Hugging Face's Trainer
// gives them (transformers, integrations/integration_utils.py: rewrite_logs): train/loss,
// eval/accuracy, …
#pragma once

#include <cstdint>
#include <filesystem>

#include "lib/core/growing_file.h"
#include "lib/core/json.h"

namespace mtlora {

/// How far a run is.
struct RunPosition {
  int64_t step = 0, examples = 0;
  double seconds = 0;  ///< of training
};

class TensorBoard {
 public:
  /// Begins an event file in `folder`, which is made where it is not there. Points that other files
  /// there have of steps behind `from` are no longer shown: the run makes them anew. Throws Error.
  TensorBoard(const std::filesystem::path& folder, const RunPosition& from);

  /// Draws what a train or eval event holds; nothing else has numbers to draw. `seconds` of
  /// training until now. Written through to the file, but not synced. Throws Error (a full disk).
  void write(const Json& event, double seconds);

 private:
  /// Examples a second since the last train event.
  double speed(const Json& train_event, double seconds);

  GrowingFile file_;
  RunPosition last_;  // at the last train event
};

}  // namespace mtlora
