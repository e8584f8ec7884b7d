// The tasks of the GLUE benchmark (glue_tasks.cpp is their table).

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/data/byte_order_mark.h"
#include "lib/data/collect.h"
#include "lib/data/glue_tasks.h"
#include "lib/data/split_files.h"

namespace mtlora {
namespace {

struct GlueOptions {
  std::string data;
  std::optional<std::string> train, dev, test, main_metric;
  int64_t max_malformed = 0;

  explicit GlueOptions(const GlueTask& task) : data("data/" + task.name) {}

  void fields(Fields& f) {
    f("data", data, "Folder of the task's files.", not_empty());
    f("train", train, "File of the training split, where it has not its usual name.");
    f("dev", dev,
      "File of the dev split (MNLI: the matched one), where it has not its usual name.");
    f("test", test, "File of the test split (MNLI: the matched one), likewise.");
    f("main_metric", main_metric,
      "Metric that decides which checkpoint is best; null: the benchmark's score of the task.");
    f("max_malformed", max_malformed,
      "Malformed rows of a file that may be left out; more are an error.", at_least(0));
  }
};

std::vector<Split> splits_of(const GlueTask& task, const GlueOptions& options) {
  if (!task.has_mismatched)
    return {{"train", "", {"train"}, "train", options.train},
            {"dev", "", {"dev", "validation"}, "dev", options.dev},
            {"test", "", {"test"}, "test", options.test}};
  return {
      {"train", "", {"train"}, "train", options.train},
      {"dev_matched", "dev", {"dev_matched", "validation_matched"}, "dev", options.dev},
      {"dev_mismatched", "", {"dev_mismatched", "validation_mismatched"}, "", {}},
      {"test_matched", "test", {"test_matched"}, "test", options.test},
      {"test_mismatched", "", {"test_mismatched"}, "", {}},
  };
}

SplitFiles::Where where(const GlueTask& task, const std::string& folder) {
  return {folder,
          {".tsv", ".csv", ".jsonl"},
          fmt::format("Unpack {} and name the folder of its files with task.data.", task.source)};
}

TaskInfo info_of(const GlueTask& task, const GlueOptions& options) {
  TaskInfo info = task.info;
  info.name = task.name;
  info.text_key = task.columns.text;
  info.pair_key = task.columns.text_pair.value_or("text_pair");
  if (options.main_metric) {
    const auto& known = info.metrics;
    if (std::find(known.begin(), known.end(), *options.main_metric) == known.end())
      fail("/task/main_metric: {}", unknown("metric of " + task.name, *options.main_metric, known));
    info.main_metric = *options.main_metric;
  }
  return info;
}

std::vector<std::string> indices(size_t count) {
  std::vector<std::string> written;
  for (size_t i = 0; i < count; ++i) written.push_back(std::to_string(i));
  return written;
}

LabelRule label_rule(const GlueTask& task, bool is_official, bool required) {
  LabelRule rule{.kind = task.info.kind,
                 .low = task.info.low,
                 .high = task.info.high,
                 .none = is_official ? "" : "-1",
                 .required = required};
  rule.add_classes(is_official ? task.labels : task.info.labels);
  if (!is_official) rule.add_classes(indices(task.info.labels.size()));
  return rule;
}

class Glue final : public Task {
 public:
  Glue(const GlueTask& task, const GlueOptions& options)
      : task_(task),
        info_(info_of(task, options)),
        files_(splits_of(task, options), where(task, options.data)),
        max_malformed_(options.max_malformed) {}

  const TaskInfo& info() const override { return info_; }
  std::vector<std::string> splits() const override { return files_.present(); }
  void require(std::string_view split) const override { files_.file(files_.split(split)); }

  Dataset load(std::string_view name) const override {
    const Split& split = files_.split(name);
    const std::filesystem::path file = files_.file(split);
    const MappedFile bytes(file);
    const std::string_view content = without_bom(bytes.bytes(), file.string());
    GlueLayout layout = layout_of(file, content);
    const bool is_test = split.name.starts_with("test");
    layout.columns.label_optional = is_test;
    const LabelRule labels = label_rule(task_, layout.is_official, !is_test);
    Collector collector(file, bytes.bytes(), labels);
    const EachRecord each = [&](Record&& record) { collector.add(std::move(record)); };
    if (layout.table)
      read_table(content, *layout.table, layout.columns, file.string(), each);
    else
      read_json_lines(content, layout.columns, each);
    return collector.finish(split.name, max_malformed_);
  }

 private:
  GlueLayout layout_of(const std::filesystem::path& file, std::string_view content) const {
    std::string extension = file.extension().string();
    if (extension == ".txt") extension = ".tsv";  // as MRPC's sources are named
    if (extension != ".tsv" && extension != ".csv" && extension != ".jsonl")
      fail("{}: GLUE files end in .tsv (or .txt), .csv or .jsonl", file.string());
    const std::string_view text = without_last_line_ends(content);
    if (text.empty()) fail("{}: is empty", file.string());
    check_line_ends(text, file.string());
    return glue_layout(task_, extension, first_line(text), file.string());
  }

  const GlueTask& task_;
  TaskInfo info_;
  SplitFiles files_;
  int64_t max_malformed_;
};

TaskEntry entry(std::string_view name) {
  const auto row = std::find_if(glue_tasks().begin(), glue_tasks().end(),
                                [&](const GlueTask& task) { return task.name == name; });
  const GlueTask& task = *row;
  return {{task.name, task.summary, [&task](Fields& f) { GlueOptions(task).fields(f); }},
          [&task](const Json& in) {
            GlueOptions options(task);
            read_options(in, "/task", [&](Fields& f) { options.fields(f); });
            return std::make_unique<Glue>(task, options);
          }};
}

}  // namespace

namespace tasks_list {
TaskEntry cola() {
  return entry("cola");
}
TaskEntry sst2() {
  return entry("sst2");
}
TaskEntry mrpc() {
  return entry("mrpc");
}
TaskEntry stsb() {
  return entry("stsb");
}
TaskEntry qqp() {
  return entry("qqp");
}
TaskEntry mnli() {
  return entry("mnli");
}
TaskEntry qnli() {
  return entry("qnli");
}
TaskEntry rte() {
  return entry("rte");
}
TaskEntry wnli() {
  return entry("wnli");
}
}  // namespace tasks_list

}  // namespace mtlora
