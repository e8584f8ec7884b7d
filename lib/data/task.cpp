#include "lib/data/task.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"

namespace mtlora {
namespace {

const TaskEntry& entry_of(const std::string& name) {
  const auto found = std::find_if(tasks().begin(), tasks().end(),
                                  [&](const TaskEntry& t) { return t.name == name; });
  if (found == tasks().end()) fail("/task/name: {}", unknown("task", name, task_kind().names()));
  return *found;
}

}  // namespace

bool Dataset::labelled() const {
  return std::none_of(examples.begin(), examples.end(),
                      [](const Example& e) { return std::isnan(e.label); });
}

const std::vector<TaskEntry>& tasks() {
  static const std::vector<TaskEntry> all = {
#define TASK(name) tasks_list::name(),
#include "lib/data/tasks.def"
#undef TASK
  };
  return all;
}

const Kind& task_kind() {
  static const Kind kind = [] {
    Kind made{"task", {}};
    for (const TaskEntry& entry : tasks()) made.entries.push_back(&entry);
    return made;
  }();
  return kind;
}

bool is_text_task(const std::string& name) {
  return entry_of(name).start_text != nullptr;
}

std::unique_ptr<Task> start_task(const Choice& choice) {
  const TaskEntry& entry = entry_of(choice.name);
  if (!entry.start)
    fail("/task/name: \"{}\" is a task of generating text; one with labels is wanted here",
         choice.name);
  return entry.start(choice.options);
}

std::unique_ptr<TextTask> start_text_task(const Choice& choice) {
  const TaskEntry& entry = entry_of(choice.name);
  if (!entry.start_text)
    fail("/task/name: \"{}\" is a task with labels; one of generating text is wanted here",
         choice.name);
  return entry.start_text(choice.options);
}

}  // namespace mtlora
