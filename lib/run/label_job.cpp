// Labelling texts: loss and metrics of the labels.

#include <algorithm>
#include <charconv>
#include <map>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/data/shown_text.h"
#include "lib/run/job.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

// "64 examples: sad 32, happy 32", so that labels which were not meant are seen.
std::string description(const Dataset& data, const TaskInfo& info) {
  constexpr size_t kMostShown = 20;
  std::string text = fmt::format("{}: {} examples", data.split, data.examples.size());
  if (info.kind == TaskKind::classification) {
    std::vector<size_t> counts(info.labels.size());
    for (const Example& example : data.examples) ++counts[static_cast<size_t>(example.label)];
    for (size_t i = 0; i < std::min(counts.size(), kMostShown); ++i)
      text += fmt::format("{} {} {}", i == 0 ? ":" : ",", shown_text(info.labels[i]), counts[i]);
    if (counts.size() > kMostShown) text += fmt::format(", … ({} classes)", counts.size());
  }
  if (data.empty_texts > 0) text += fmt::format("; {} with an empty text", data.empty_texts);
  return text;
}

// A label without white space around it, in lower case; a number by its value.
std::string bare(const std::string& label) {
  std::string lower;
  for (size_t at = 0; at < label.size();) append_lower(next_code_point(label, at), lower);
  const size_t begin = std::min(lower.find_first_not_of(" \t\r\n"), lower.size());
  lower = lower.substr(begin, lower.find_last_not_of(" \t\r\n") + 1 - begin);
  double value = 0;
  const char* end = lower.data() + lower.size();
  const auto [stopped, error] = std::from_chars(lower.data(), end, value);
  return error == std::errc() && stopped == end ? fmt::format("{}", value) : lower;
}

// A data set that spells one class in two ways trains a head with an output for each; what a table
// writes where there is no value, too, is a class.
void warn_of_spellings(const std::vector<std::string>& labels) {
  std::map<std::string, std::vector<std::string>> spellings;
  for (const std::string& label : labels)
    spellings[bare(label)].push_back(fmt::format("\"{}\"", shown_text(label)));
  for (const auto& [name, alike] : spellings) {
    if (alike.size() > 1)
      log::warn(
          fmt::format("the labels {} are different classes; if they are not, correct the data",
                      fmt::join(alike, " and ")));
    if (name == "nan" || name == "null" || name == "na" || name == "n/a")
      log::warn(fmt::format("the label {} is a class; rows without a label have to be left out",
                            fmt::join(alike, ", ")));
  }
}

class LabelJob final : public Job {
 public:
  explicit LabelJob(Session& session) : s_(session) {
    warn_of_spellings(session.task->info().labels);
  }

  std::vector<std::string> splits() const override { return s_.task->splits(); }
  SplitSet load(const std::string& split) override {
    const Dataset data = s_.task->load(split);
    if (!data.labelled()) fail("the split {} has examples without a label", split);
    log::info(description(data, s_.task->info()));
    return {s_.encoded(data), data.hash};
  }
  std::unique_ptr<Objective> objective(const EncodedSet& set) override {
    return std::make_unique<LabelObjective>(*s_.classifier, set, s_.collate(),
                                            s_.options.train.label_smoothing);
  }
  Evaluation evaluate(const EncodedSet& set) override {
    return mtlora::evaluate(*s_.classifier, set, s_.task->info(), *s_.pool, s_.evaluate());
  }
  std::vector<std::string> metrics() const override { return s_.task->info().metrics; }
  std::string main_metric() const override { return s_.task->info().main_metric; }
  void check() override {
    const double smoothing = s_.options.train.label_smoothing;
    if (s_.task->info().kind == TaskKind::regression && smoothing != 0)
      fail(
          "/train/label_smoothing: {} of a target is to be spread over all classes, but the task "
          "{} is a regression, which has none; leave it 0",
          smoothing, s_.task->info().name);
    if (const int64_t most = s_.options.train.max_overlong; most != 0)
      fail(
          "/train/max_overlong: {}, but no text of the task {} is left out: those longer than "
          "train.max_length are cut; leave it 0",
          most, s_.task->info().name);
  }

 private:
  Session& s_;
};

}  // namespace

Json Job::finish(const std::filesystem::path&) {
  return nullptr;
}

std::unique_ptr<Job> make_label_job(Session& session) {
  return std::make_unique<LabelJob>(session);
}

std::unique_ptr<Job> make_job(Session& session) {
  return session.task ? make_label_job(session) : make_text_job(session);
}

}  // namespace mtlora
