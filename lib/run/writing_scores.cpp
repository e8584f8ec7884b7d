#include "lib/run/writing_scores.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/metrics/score.h"
#include "lib/run/writing.h"

namespace mtlora {
namespace {

// What the papers report of the task, and the other metrics after it.
ScoreOptions score_options(const Session& s) {
  const std::string preset = s.text_task->info().score_preset;
  const std::string meteor_data = s.options.score.meteor_data.value_or("");
  ScoreOptions options = score_preset(preset.empty() ? "e2e" : preset, meteor_data);
  for (const char* other : {"nist", "rouge_l", "cider", "chrf", "ter"}) {
    const bool is_there = std::any_of(options.metrics.begin(), options.metrics.end(),
                                      [&](const ScoredMetric& m) { return m.name == other; });
    if (!is_there) options.metrics.push_back({other, other});
  }
  options.threads = static_cast<size_t>(s.threads);
  return options;
}

struct Answer {
  TextSegment segment;
  std::string group;
};

// The texts beside their references; prompts without any are left out.
std::vector<Answer> answers_of(const std::vector<Prompt>& prompts,
                               const std::vector<std::string>& texts,
                               const std::string& missing_reference) {
  size_t most = 0;
  for (const Prompt& prompt : prompts) most = std::max(most, prompt.references.size());
  std::vector<Answer> answers;
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].references.empty()) continue;
    Answer answer{{texts[i], prompts[i].references, 0}, prompts[i].group};
    std::vector<std::string>& references = answer.segment.references;
    if (missing_reference == "empty") answer.segment.empty_references = most - references.size();
    if (missing_reference == "first") references.resize(most, std::string(references.front()));
    answers.push_back(std::move(answer));
  }
  return answers;
}

Json scores_of(const std::vector<Answer>& answers, const std::string& group,
               const ScoreOptions& options) {
  std::vector<TextSegment> segments;
  for (const Answer& answer : answers)
    if (group.empty() || answer.group == group) segments.push_back(answer.segment);
  if (segments.empty()) return nullptr;
  Json scores = Json::object();
  for (const MetricScore& metric : score_texts(segments, options).metrics)
    scores[metric.label] = metric.score;
  return scores;
}

// {"meteor": "by exact, stem only: …"}: what a metric says of itself.
Json notes_of(const ScoreOptions& options) {
  Json notes = Json::object();
  for (const MetricScore& metric : score_texts({{"a text", {"a text"}, 0}}, options).metrics)
    if (!metric.note.empty()) notes[metric.label] = metric.note;
  return notes;
}

void write_outputs(const std::filesystem::path& file, const std::vector<std::string>& texts) {
  std::string lines;
  for (std::string text : texts) {
    for (const char line_end : {'\n', '\r'})  // a text is a line
      std::replace(text.begin(), text.end(), line_end, ' ');
    lines += text + "\n";
  }
  write_file(file, lines);
}

}  // namespace

void tell_of_scores(const Session& session) {
  const Json notes = notes_of(score_options(session));
  for (const auto& [metric, note] : notes.items())
    log::info(fmt::format("{}: {}", metric, note.get<std::string>()));
}

void check_scoring(const Session& session, const std::string& split) {
  context_room(session);
  const GeneratePlan plan = generate_plan(session);
  start_search(plan.decoding, plan.end, session.model().vocab_size(), 0, std::vector<int32_t>{0});
  tell_of_scores(session);
  for (const Prompt& prompt : session.text_task->load(split).prompts)
    if (!prompt.references.empty()) return;
  fail(
      "/generate/final_split: no prompt of {} has a reference: there would be nothing to score; "
      "null leaves the writing of texts out",
      split);
}

Json score_split(const Session& session, const TextData& data,
                 const std::filesystem::path& folder) {
  std::vector<std::string> contexts;
  for (const Prompt& prompt : data.prompts) contexts.push_back(prompt.context);
  size_t written = 0;
  const auto count = [&](size_t, const std::string&) {
    if (++written % 200 == 0)
      log::info(fmt::format("{} of {} texts of {} written", written, contexts.size(), data.split));
  };
  const std::vector<std::string> texts = write_texts(session, contexts, count);
  if (!folder.empty()) write_outputs(folder / (data.split + ".outputs.txt"), texts);

  const std::string& missing = session.options.score.missing_reference;
  const std::vector<Answer> answers = answers_of(data.prompts, texts, missing);
  if (answers.empty()) fail("{}: no prompt of it has a reference: nothing to score", data.split);
  const ScoreOptions options = score_options(session);
  Json metrics = scores_of(answers, "", options);
  for (const std::string& group : session.text_task->info().groups)
    if (const Json scores = scores_of(answers, group, options); !scores.is_null())
      metrics[group] = scores;
  return {
      {"metrics", metrics},           {"notes", notes_of(options)},
      {"examples", answers.size()},   {"without_references", data.prompts.size() - answers.size()},
      {"missing_reference", missing}, {"data", data.hash}};
}

}  // namespace mtlora
