// A run's work on its data: what differs between labelling texts and writing them.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/run/session.h"
#include "lib/train/evaluate.h"
#include "lib/train/objective.h"

namespace mtlora {

/// A split as token ids.
struct SplitSet {
  EncodedSet set;
  std::string hash;
};

struct WritingCost {
  int64_t contexts = 0;
  double seconds = 0;  ///< of all of them
};

class Job {
 public:
  virtual ~Job() = default;
  virtual std::vector<std::string> splits() const = 0;
  /// A split to learn from, or to be measured on while learning. Throws Error where labels or texts
  /// are missing.
  virtual SplitSet load(const std::string& split) = 0;
  virtual std::unique_ptr<Objective> objective(const EncodedSet& set) = 0;
  virtual Evaluation evaluate(const EncodedSet& set) = 0;
  /// What evaluate() gives beside the loss, and which number says what is best.
  virtual std::vector<std::string> metrics() const = 0;
  virtual std::string main_metric() const = 0;
  /// Throws Error for what training would not heed, or what would go wrong only when it is done.
  virtual void check() {}
  /// The split whose texts are written and scored when training is done, with the best weights; ""
  /// where there is none.
  virtual std::string final_split() const { return ""; }
  /// What writing them costs, found by writing some with the weights as they are; nothing where
  /// there are none. Weights that have learned less write for longer, up to the longest text.
  virtual std::optional<WritingCost> writing_cost() { return std::nullopt; }
  /// Writes them into the run's `folder`; returns their scores.
  virtual Json finish(const std::filesystem::path& folder);
};

/// The job of the session's task; the session outlives it.
std::unique_ptr<Job> make_job(Session& session);
std::unique_ptr<Job> make_label_job(Session& session);
std::unique_ptr<Job> make_text_job(Session& session);

}  // namespace mtlora
