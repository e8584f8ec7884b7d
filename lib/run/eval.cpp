// eval: how good a checkpoint, or a model as it is, is on one split.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "lib/core/error.h"
#include "lib/run/open_source.h"
#include "lib/run/session.h"
#include "lib/run/writing_scores.h"

namespace mtlora {
namespace {

void print_numbers(const Json& numbers, const std::string& prefix) {
  for (const auto& [name, value] : numbers.items()) {
    if (value.is_object())
      print_numbers(value, prefix + name + ".");
    else
      fmt::print("{:<28} {}\n", prefix + name, value.dump());
  }
}

void print(const Json& result, bool json) {
  if (json) {
    fmt::print("{}\n", result.dump());
    return;
  }
  print_numbers(result["metrics"], "");
  for (const auto& [name, value] : result.items())
    if (name != "metrics")
      fmt::print("{:<28} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
}

void require_labels(const Dataset& data) {
  const auto is_without = [](const Example& e) { return std::isnan(e.label); };
  const auto& all = data.examples;
  const auto first = std::find_if(all.begin(), all.end(), is_without);
  if (first == all.end()) return;
  fail(
      "{} of the {} examples of the split {} have no label, example {} is the first: it can be "
      "predicted, not evaluated",
      std::count_if(first, all.end(), is_without), all.size(), data.split, first - all.begin() + 1);
}

Json labels(const Session& s, const std::string& split) {
  const Dataset data = s.task->load(split);
  require_labels(data);
  const Evaluation e =
      evaluate(*s.classifier, s.encoded(data), s.task->info(), *s.pool, s.evaluate());
  return {{"metrics", e.metrics_json()}, {"loss", e.loss}, {"examples", e.examples}};
}

Json texts(const Session& s, const std::string& split) {
  const TextData data = s.text_task->load(split);
  tell(data);
  tell_of_scores(s);
  // What training goes by. A run's result has none of the test set either.
  std::optional<EncodedSet> learned;
  if (data.split != "test" && !data.pairs.empty()) learned = s.encoded(data);
  Json result = score_split(s, data, {});
  if (learned)
    result["loss"] = evaluate_texts(*s.language_model, *learned, *s.pool, s.evaluate()).loss;
  return result;
}

}  // namespace

void eval(const EvalRequest& request) {
  const Session s = open_source(request.source);
  print(s.task ? labels(s, request.split) : texts(s, request.split), request.json);
}

}  // namespace mtlora
