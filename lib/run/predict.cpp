// predict: texts in, one JSON line a text out, in order.

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "lib/core/error.h"
#include "lib/data/input_lines.h"
#include "lib/run/open_source.h"

namespace mtlora {
namespace {

// Lines that are computed together; the answers of a stream come that many at a time.
constexpr size_t kLinesAtOnce = 256;

Example from_json(const std::string& line, const std::string& where, bool has_pair) {
  const Json json = parse_json(line, where);
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_string())
      fail("{}: \"{}\" should be a string", where, key);
    return found->get<std::string>();
  };
  if (!json.is_object()) fail("{}: expected an object", where);
  return {text("text"), has_pair ? text("text_pair") : ""};
}

Example from_line(const std::string& line, const std::string& where, bool has_pair) {
  if (!has_pair) return {line, ""};
  const size_t tab = line.find('\t');
  if (tab == std::string::npos)
    fail("{}: the task takes pairs: two texts separated by a tab", where);
  return {line.substr(0, tab), line.substr(tab + 1)};
}

void print(const Tensor& logits, const TaskInfo& info) {
  const Tensor numbers = logits.to(torch::kDouble);
  const Tensor shares = numbers.softmax(-1);
  for (int64_t i = 0; i < numbers.size(0); ++i) {
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
  std::fflush(stdout);
}

}  // namespace

void predict(const PredictRequest& request) {
  Session s = open_source(request.source);
  s.require_labels("predict");
  std::ifstream file;
  const bool is_stdin = request.input == "-";
  if (!is_stdin) {
    file.open(request.input);
    if (!file || std::filesystem::is_directory(request.input))
      fail("--input {}: is no file that can be read", request.input);
  }
  std::istream& in = is_stdin ? std::cin : file;
  const bool is_json = request.input.ends_with(".jsonl");
  const std::string name = is_stdin ? "stdin" : request.input;
  const bool has_pair = s.task->info().has_pair;
  Dataset data;
  data.split = name;
  const auto flush = [&] {
    if (data.examples.empty()) return;
    print(predict_logits(*s.classifier, s.encoded(data), *s.pool, s.evaluate()), s.task->info());
    data.examples.clear();
  };
  InputLines lines(in, name);
  for (std::string line; lines.next(line);) {
    const std::string where = lines.where();
    data.examples.push_back(is_json ? from_json(line, where, has_pair)
                                    : from_line(line, where, has_pair));
    if (data.examples.size() == kLinesAtOnce) flush();
  }
  flush();
}

}  // namespace mtlora
