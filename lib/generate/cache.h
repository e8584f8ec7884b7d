// Keys and values of what has been read and written, for decoding. The beams of a prompt share its
// keys; what a beam has written is found through a table of ancestors, so that reordering beams
// copies a few integers and no keys.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/models/language_model.h"
#include "lib/nn/attend.h"

namespace mtlora {

class Cache {
 public:
  /// Of packed prompts; at most `max_steps` tokens are written after each, in at most `max_rows`
  /// rows at a time.
  Cache(const DecoderShape& shape, backend::Packing prompts, int64_t max_steps, int64_t max_rows);

  /// The rows of the next step. prompt[i]: whose; parent[i]: the row of the step before that it
  /// continues (of the first step: not looked at).
  void next_step(std::vector<int32_t> prompt, const std::vector<int32_t>& parent);

  /// Reads the prompts: keeps their keys.
  std::unique_ptr<Attend> prefill();
  /// The rows of the step: keeps their keys, and looks at all that came before.
  std::unique_ptr<Attend> step();

 private:
  friend class AttendPrefill;
  friend class AttendStep;

  DecoderShape shape_;
  backend::Packing prompts_;
  int64_t max_steps_, max_rows_, steps_ = 0;
  std::vector<int32_t> prompt_of_row_;
  std::vector<int32_t> ancestry_;            // [rows, max_steps]
  Tensor device_tables_;                     // of the step, see backend::DecodeKeys
  std::vector<Tensor> prompt_kv_, step_kv_;  // of each layer, see backend::DecodeKeys
};

}  // namespace mtlora
