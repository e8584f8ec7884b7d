// predict: texts in, one JSON line a text out, in order.

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "lib/core/error.h"
#include "lib/core/output.h"
#include "lib/run/input_source.h"
#include "lib/run/open_source.h"

namespace mtlora {
namespace {

// The text of a key: the task's own name for it, or the one that all tasks share.
std::string text_of(const Json& json, const std::string& own, const std::string& shared,
                    const std::string& where) {
  for (const std::string& key : {own, shared}) {
    const auto found = json.find(key);
    if (found == json.end()) continue;
    if (!found->is_string()) fail("{}: \"{}\" should be a string", where, key);
    return found->get<std::string>();
  }
  fail("{}: there is no key \"{}\"{}", where, own,
       own == shared ? "" : fmt::format(", and no \"{}\"", shared));
}

Example from_json(const std::string& line, const std::string& where, const TaskInfo& info) {
  const Json json = parse_json(line, where);
  if (!json.is_object()) fail("{}: expected an object", where);
  Example example{text_of(json, info.text_key, "text", where), ""};
  if (info.has_pair)
    example.text_pair = text_of(json, info.pair_key, "text_pair", where);
  else if (json.contains("text_pair"))
    fail("{}: has a \"text_pair\", but the task {} is of single texts", where, info.name);
  return example;
}

Example from_line(const std::string& line, const std::string& where, const TaskInfo& info) {
  const size_t tab = line.find('\t');
  if (!info.has_pair) {
    if (tab == std::string::npos) return {line, ""};
    fail(
        "{}: has a tab, which stands between the texts of a pair, but the task {} is of single "
        "texts; {}a text that holds a tab can be given as a JSON object in a file that ends in "
        ".jsonl",
        where, info.name,
        info.name == "text" ? "for pairs add --set task.text_pair=text_pair; " : "");
  }
  if (tab == std::string::npos)
    fail("{}: the task takes pairs: two texts separated by a tab", where);
  if (line.find('\t', tab + 1) != std::string::npos)
    fail(
        "{}: has {} columns, a pair is two texts separated by a tab; texts that hold a tab can be "
        "given as a JSON object in a file that ends in .jsonl",
        where, 1 + std::count(line.begin(), line.end(), '\t'));
  return {line.substr(0, tab), line.substr(tab + 1)};
}

// What an example is called by errors, by its index in its batch.
using Where = std::function<std::string(int64_t)>;

void print(const Tensor& logits, const TaskInfo& info, const Where& where) {
  const Tensor numbers = logits.to(torch::kDouble);
  const Tensor shares = numbers.softmax(-1);
  for (int64_t i = 0; i < numbers.size(0); ++i) {
    if (!numbers[i].isfinite().all().item<bool>())
      fail(
          "{}: the model's outputs are not finite numbers; its weights or its config.json are "
          "broken",
          where(i));
    Json out;
    if (info.kind == TaskKind::regression) {
      out["value"] = logits[i][0].item<double>();
    } else {
      out["label"] = info.labels[static_cast<size_t>(numbers[i].argmax().item<int64_t>())];
      const Tensor row = shares[i].contiguous();
      out["probabilities"] =
          std::vector<double>(row.data_ptr<double>(), row.data_ptr<double>() + row.numel());
    }
    fmt::print("{}\n", out.dump());
  }
  flush_output();
}

void label(const Session& s, Dataset& data, const Where& where) {
  if (data.examples.empty()) return;
  print(predict_logits(*s.classifier, s.encoded(data), *s.pool, s.evaluate()), s.task->info(),
        where);
  data.examples.clear();
}

void label_lines(const Session& s, InputSource& input) {
  Dataset data;
  data.split = input.name();
  const auto read = input.is_json_lines() ? from_json : from_line;
  std::vector<std::string> places;
  const auto take = [&](const std::string& line, const std::string& where) {
    places.push_back(where);
    data.examples.push_back(read(line, where, s.task->info()));
  };
  for_lines(input, take, [&] {
    label(s, data, [&](int64_t i) { return places[static_cast<size_t>(i)]; });
    places.clear();
  });
}

// Its labels, if it has any, are not looked at.
void label_split(const Session& s, const std::string& split) {
  Dataset data = s.task->load(split);
  label(s, data, [&](int64_t i) { return fmt::format("example {} of {}", i + 1, data.split); });
}

// Pairs may stand in a .tsv: two texts with a tab between.
std::vector<std::string> refused_extensions(const TaskInfo& info) {
  if (info.has_pair) return {".json", ".csv"};
  return {".json", ".csv", ".tsv"};
}

}  // namespace

void predict(const PredictRequest& request) {
  check_input_options(request.input, request.split);
  Session s = open_source(request.source);
  s.require_labels("predict");
  if (!request.split.empty()) {
    label_split(s, request.split);
    return;
  }
  InputSource input(request.input);
  input.refuse(refused_extensions(s.task->info()));
  label_lines(s, input);
}

}  // namespace mtlora
