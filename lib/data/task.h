// Tasks: where examples come from, and what is asked of a model. Each is a line of tasks.def.
#pragma once

#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/options.h"
#include "lib/data/text_task.h"

namespace mtlora {

/// A text, or a pair of texts, with what it is labelled.
struct Example {
  std::string text, text_pair;  ///< text_pair is empty in tasks of single texts
  double label = std::numeric_limits<double>::quiet_NaN();  ///< class index or score; NaN: none
};

/// The examples of one split, in file order.
struct Dataset {
  std::string split;
  std::vector<Example> examples;
  std::vector<std::filesystem::path> files;
  std::string hash;            ///< 16 hex digits of the files' bytes
  size_t malformed = 0;        ///< rows that were left out
  std::string malformed_rows;  ///< the first 20 of them, a line each: file:line: what is wrong
  size_t empty_texts = 0;      ///< examples with an empty text; they are kept

  /// Whether every example has a label.
  bool labelled() const;
};

enum class TaskKind { classification, regression };

struct TaskInfo {
  std::string name{};
  TaskKind kind = TaskKind::classification;
  std::vector<std::string> labels{};  ///< of a classification: names by class index
  bool has_pair = false;
  std::string text_key = "text", pair_key = "text_pair";  ///< of the texts in JSON objects
  std::vector<std::string> metrics{};
  std::string main_metric{};  ///< one of `metrics`; decides which checkpoint is best
  double low = -std::numeric_limits<double>::infinity();  ///< range of a regression's labels
  double high = std::numeric_limits<double>::infinity();

  /// Outputs of the model's head: one a class, or one.
  size_t outputs() const { return kind == TaskKind::classification ? labels.size() : 1; }
};

/// A task with its options set. Reads files only when asked to load (or, for a task whose labels
/// are not named, to collect them from the training file).
class Task {
 public:
  virtual ~Task() = default;
  virtual const TaskInfo& info() const = 0;
  /// The splits whose file is there, e.g. {"train", "dev_matched", "dev_mismatched"}. Throws Error
  /// where an option names a file that is not.
  virtual std::vector<std::string> splits() const = 0;
  /// Throws what load() would where there is no file of the split.
  virtual void require(std::string_view split) const = 0;
  /// Reads a split; "dev" and "test" are also short for "dev_matched" and "test_matched". Throws
  /// Error: no such split or file, a layout that is not known, malformed rows (all together), no
  /// example.
  virtual Dataset load(std::string_view split) const = 0;
};

/// Exactly one of the two is set: `start` of a task with labels, `start_text` of a text task.
struct TaskEntry : Entry {
  std::function<std::unique_ptr<Task>(const Json& options)> start{};
  std::function<std::unique_ptr<TextTask>(const Json& options)> start_text{};
};

/// Every task of tasks.def, in that order; task_kind() is the same for a config's choice.
const std::vector<TaskEntry>& tasks();
const Kind& task_kind();

/// Whether the task of that name is a text task. Throws Error when there is none of that name.
bool is_text_task(const std::string& name);

/// The task that a config chose. Throws Error when there is none of that name, when it is one of
/// the other kind, or its options are wrong.
std::unique_ptr<Task> start_task(const Choice& choice);
std::unique_ptr<TextTask> start_text_task(const Choice& choice);

namespace tasks_list {
#define TASK(name) TaskEntry name();
#include "lib/data/tasks.def"
#undef TASK
}  // namespace tasks_list

}  // namespace mtlora
