// Writing texts: the loss of the completions while learning, the texts themselves at the end.

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/run/job.h"
#include "lib/run/writing.h"
#include "lib/run/writing_scores.h"
#include "lib/train/phases.h"

namespace mtlora {
namespace {

// Behind a separator a text ends at its first blank line, and not where the completion did.
void warn_of_blank_lines(const TextData& data) {
  const auto is_divided = [](const TextPair& pair) {
    return pair.completion.find("\n\n") != std::string::npos;
  };
  const auto count = std::count_if(data.pairs.begin(), data.pairs.end(), is_divided);
  if (count > 0)
    log::warn(
        fmt::format("{} of {} completions hold a blank line, and what is written ends at the first "
                    "one (generate.separator)",
                    count, data.pairs.size()));
}

class TextJob final : public Job {
 public:
  explicit TextJob(Session& session) : s_(session) {}

  std::vector<std::string> splits() const override { return s_.text_task->splits(); }
  SplitSet load(const std::string& split) override {
    const TextData data = read(split);
    if (data.pairs.empty()) fail("the split {} holds no texts to learn from", split);
    if (split == "train" && s_.options.generate.separator) warn_of_blank_lines(data);
    return {s_.encoded(data), data.hash};
  }
  std::unique_ptr<Objective> objective(const EncodedSet& set) override {
    return std::make_unique<TextObjective>(*s_.language_model, set,
                                           s_.options.train.label_smoothing);
  }
  Evaluation evaluate(const EncodedSet& set) override {
    return evaluate_texts(*s_.language_model, set, *s_.pool, s_.evaluate());
  }
  std::vector<std::string> metrics() const override { return {}; }
  std::string main_metric() const override { return "loss"; }

  std::string final_split() const override {
    const auto& split = s_.options.generate.final_split;
    return split && is_there(*split) ? *split : "";
  }
  void check() override {
    const auto& split = s_.options.generate.final_split;
    if (!split) return;
    const std::vector<std::string> known = {"train", "dev", "test"};
    if (std::find(known.begin(), known.end(), *split) == known.end())
      fail("/generate/final_split: {}", unknown("split", *split, known));
    if (is_there(*split))
      check_scoring(s_, *split);
    else
      log::warn(fmt::format("there is no {} set: no texts will be written and scored", *split));
  }
  std::optional<WritingCost> writing_cost() override {
    if (final_split().empty()) return std::nullopt;
    const std::vector<Prompt> prompts = read(final_split()).prompts;
    const auto all = std::ssize(prompts);
    if (all == 0) return std::nullopt;
    const int64_t some = std::min(all, s_.options.generate.batch_size * s_.pool->threads());
    std::vector<std::string> contexts;  // from everywhere, so that they are of usual lengths
    for (int64_t i = 0; i < some; ++i)
      contexts.push_back(prompts[static_cast<size_t>(i * all / some)].context);
    PhaseClock clock;
    double seconds = 0;
    write_texts(s_, contexts);
    clock.lap(seconds);
    return WritingCost{all, seconds * static_cast<double>(all) / static_cast<double>(some)};
  }
  Json finish(const std::filesystem::path& folder) override {
    return score_split(s_, read(final_split()), folder);
  }

 private:
  // A split that is learned from, or measured on, may be read again to be scored: what there is to
  // say of it is said once.
  TextData read(const std::string& split) {
    TextData data = s_.text_task->load(split);
    if (told_.insert(split).second) tell(data);
    return data;
  }
  bool is_there(const std::string& split) const {
    const auto there = splits();
    return std::find(there.begin(), there.end(), split) != there.end();
  }

  Session& s_;
  std::set<std::string> told_;
};

}  // namespace

std::unique_ptr<Job> make_text_job(Session& session) {
  return std::make_unique<TextJob>(session);
}

}  // namespace mtlora
