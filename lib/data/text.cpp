// A task of one's own: classification or regression of single texts or pairs, in CSV, TSV or JSON
// lines.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/data/byte_order_mark.h"
#include "lib/data/collect.h"
#include "lib/data/shown_text.h"
#include "lib/data/split_files.h"

namespace mtlora {
namespace {

struct TextOptions {
  std::string data, format = "auto", text = "text", label = "label", kind = "classification";
  std::optional<std::string> train, dev, test, text_pair, main_metric;
  std::vector<std::string> labels, metrics;
  std::optional<double> low, high;
  int64_t max_malformed = 0;

  void fields(Fields& f) {
    f("data", data, "Folder of the files.");
    f("train", train, "File of the training split; null: train.csv, train.tsv or train.jsonl.");
    f("dev", dev, "File of the dev split, likewise.");
    f("test", test, "File of the test split, likewise; it may be without labels.");
    f("format", format,
      "Format of the files; tsv is quoted like CSV, tsv_raw is not; auto: by extension, .tsv as "
      "tsv but with no cell of several lines.",
      one_of({"auto", "csv", "tsv", "tsv_raw", "jsonl"}));
    f("text", text, "Column or JSON key of the text.", not_empty());
    f("text_pair", text_pair, "Column or JSON key of the second text, for pairs.", not_empty());
    f("label", label, "Column or JSON key of the label.", not_empty());
    f("kind", kind, "What the label is: a class or a number.",
      one_of({"classification", "regression"}));
    f("labels", labels,
      "The classes, by index; empty: those of the training split, numbers in numeric order, others "
      "in byte order.");
    f("low", low, "Least label of a regression; less is malformed.");
    f("high", high, "Largest label of a regression; more is malformed.");
    f("metrics", metrics,
      "Metrics to report; empty: accuracy, or pearson_spearman, pearson and spearman.");
    f("main_metric", main_metric,
      "Metric that decides which checkpoint is best; null: the first of metrics.");
    f("max_malformed", max_malformed,
      "Malformed rows of a file that may be left out; more are an error.", at_least(0));
  }
};

std::string format_of(const TextOptions& options, const std::filesystem::path& file) {
  if (options.format != "auto") return options.format;
  const std::string extension = file.extension().string();
  if (extension == ".csv" || extension == ".tsv" || extension == ".jsonl")
    return extension.substr(1);
  fail("{}: does not end in .csv, .tsv or .jsonl; name its format with task.format", file.string());
}

// Where it is only a file's name that says that quotes mean something, a lone one must not swallow
// the rows up to the next.
TableShape table_shape(const TextOptions& options, const std::string& format) {
  TableShape shape{.separator = format == "csv" ? ',' : '\t',
                   .quoting = format == "tsv_raw" ? Quoting::none : Quoting::csv,
                   .columns = {}};
  if (format != "tsv" || options.format != "auto") return shape;
  shape.quoting = Quoting::csv_line;
  shape.quote_advice =
      "; where quotes are text, set task.format to tsv_raw, or put the cell in quotes and double "
      "those in it; where cells have several lines, set it to tsv";
  return shape;
}

// Calls `each` for every record of a file in memory.
void read_records(const TextOptions& options, const MappedFile& bytes, const Columns& columns,
                  const EachRecord& each) {
  const std::string origin = bytes.path().string();
  const std::string_view content = without_bom(bytes.bytes(), origin);
  const std::string format = format_of(options, bytes.path());
  if (without_last_line_ends(content).empty()) fail("{}: is empty", origin);
  check_line_ends(content, origin);
  if (format == "jsonl") return read_json_lines(content, columns, each);
  TableShape shape = table_shape(options, format);
  Row header;
  TableReader(content, shape.separator, shape.quoting).next(header);
  if (!header.problem.empty()) fail("{}:1: {}{}", origin, header.problem, shape.quote_advice);
  shape.columns = header.cells;
  read_table(content, shape, columns, origin, each);
}

SplitFiles::Where where(const TextOptions& options) {
  std::vector<std::string> extensions = {".csv", ".tsv", ".jsonl"};
  if (options.format == "tsv_raw")
    extensions = {".tsv"};
  else if (options.format != "auto")
    extensions = {"." + options.format};
  return {options.data, extensions, "Name the folder of the files with task.data."};
}

std::vector<Split> splits_of(const TextOptions& options) {
  return {{"train", "", {"train"}, "train", options.train},
          {"dev", "", {"dev"}, "dev", options.dev},
          {"test", "", {"test"}, "test", options.test}};
}

// Orders numbers by value, and before all else.
struct LabelOrder {
  static std::optional<double> number(const std::string& label) {
    double value = 0;
    const char* end = label.data() + label.size();
    const auto [stopped, error] = std::from_chars(label.data(), end, value);
    const bool is_number = error == std::errc() && stopped == end && std::isfinite(value);
    return is_number ? std::optional(value) : std::nullopt;
  }
  bool operator()(const std::string& a, const std::string& b) const {
    const auto x = number(a), y = number(b);
    if (x && y && *x != *y) return *x < *y;
    return x.has_value() != y.has_value() ? x.has_value() : a < b;
  }
};

class Text final : public Task {
 public:
  explicit Text(TextOptions options)
      : options_(std::move(options)), files_(splits_of(options_), where(options_)) {
    info_ = {
        .name = "text",
        .kind = options_.kind == "regression" ? TaskKind::regression : TaskKind::classification,
        .labels = options_.labels,
        .has_pair = options_.text_pair.has_value(),
        .text_key = options_.text,
        .pair_key = options_.text_pair.value_or("text_pair"),
        .metrics = options_.metrics,
        .main_metric = ""};
    check_columns();
    set_metrics();
    set_range();
    set_labels();
  }

  const TaskInfo& info() const override { return info_; }
  std::vector<std::string> splits() const override { return files_.present(); }
  void require(std::string_view split) const override { files_.file(files_.split(split)); }

  Dataset load(std::string_view name) const override {
    const Split& split = files_.split(name);
    const MappedFile bytes(files_.file(split));
    const bool is_test = split.name == "test";
    LabelRule labels{
        .kind = info_.kind, .low = info_.low, .high = info_.high, .required = !is_test};
    labels.add_classes(info_.labels);
    Collector collector(bytes.path(), bytes.bytes(), labels);
    Columns columns{options_.text, options_.text_pair, options_.label, is_test};
    read_records(options_, bytes, columns,
                 [&](Record&& record) { collector.add(std::move(record)); });
    return collector.finish(split.name, options_.max_malformed);
  }

 private:
  void check_columns() const {
    const std::string pair = options_.text_pair.value_or("");
    const auto twice = [](const char* a, const char* b, const std::string& column) {
      fail("/task: {} and {} are both the column \"{}\"", a, b, column);
    };
    if (options_.text == options_.label) twice("text", "label", options_.text);
    if (options_.text == pair) twice("text", "text_pair", pair);
    if (options_.label == pair) twice("text_pair", "label", pair);
  }

  void set_metrics() {
    if (info_.metrics.empty() && info_.kind == TaskKind::classification)
      info_.metrics = {"accuracy"};
    else if (info_.metrics.empty())
      info_.metrics = {"pearson_spearman", "pearson", "spearman"};
    info_.main_metric = options_.main_metric.value_or(info_.metrics.front());
    if (std::find(info_.metrics.begin(), info_.metrics.end(), info_.main_metric) ==
        info_.metrics.end())
      fail("/task/main_metric: \"{}\" is not among task.metrics: {}", info_.main_metric,
           fmt::join(info_.metrics, ", "));
  }

  void set_range() {
    info_.low = options_.low.value_or(info_.low);
    info_.high = options_.high.value_or(info_.high);
    if (info_.low >= info_.high)
      fail("/task/low: {} is not below task.high, {}", info_.low, info_.high);
    if (info_.kind == TaskKind::classification && (options_.low || options_.high))
      fail("/task: low and high are a regression's, not a classification's");
  }

  void set_labels() {
    if (info_.kind == TaskKind::regression) {
      if (!info_.labels.empty()) fail("/task/labels: a regression has no classes");
      return;
    }
    const bool named = !info_.labels.empty();
    if (!named) info_.labels = labels_of_training();
    const std::set<std::string> distinct(info_.labels.begin(), info_.labels.end());
    if (distinct.size() != info_.labels.size())
      fail("/task/labels: a label stands twice: {}", fmt::join(info_.labels, ", "));
    if (info_.labels.size() < 2)
      fail("{}: a classification needs two labels or more; there is: {}",
           named ? "/task/labels" : files_.file(files_.split("train")).string(),
           info_.labels.empty() ? "none" : shown_list(info_.labels));
  }

  // Those of rows that are examples. Malformed rows are load()'s to report, unless they are why
  // there are too few labels.
  std::vector<std::string> labels_of_training() const {
    const Split& train = files_.split("train");
    if (!options_.train && std::filesystem::is_directory(options_.data) && !files_.find(train))
      fail(
          "{}: there is no training file ({}), and /task/labels is empty, so the classes are not "
          "known: name the file with task.train, or of a model that has been trained the labels, "
          "in the order that it was trained with",
          options_.data, files_.wanted(train));
    const MappedFile bytes(files_.file(train));
    std::set<std::string, LabelOrder> labels;
    Problems problems;
    size_t good = 0;
    const RecordCheck check(bytes.bytes());
    const Columns columns{options_.text, options_.text_pair, options_.label};
    read_records(options_, bytes, columns, [&](Record&& record) {
      try {
        check(record);
        if (record.label.value_or("").empty()) fail("there is no label");
        labels.insert(*record.label);
        ++good;
      } catch (const Error& e) {
        problems.add(fmt::format("{}:{}: {}", bytes.path().string(), record.line, e.what()));
      }
    });
    if (labels.size() < 2)
      check_malformed(problems, bytes.path().string(), good, options_.max_malformed);
    return {labels.begin(), labels.end()};
  }

  TextOptions options_;
  SplitFiles files_;
  TaskInfo info_;
};

}  // namespace

TaskEntry tasks_list::text() {
  return {{"text", "Data of one's own: CSV, TSV or JSON lines.", default_visit<TextOptions>()},
          [](const Json& in) { return std::make_unique<Text>(parse<TextOptions>(in, "/task")); }};
}

}  // namespace mtlora
