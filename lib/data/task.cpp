#include "lib/data/task.h"

#include <algorithm>
#include <cmath>

#include "lib/core/error.h"

namespace mtlora {

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

std::unique_ptr<Task> start_task(const Choice& choice) {
  const auto found = std::find_if(tasks().begin(), tasks().end(),
                                  [&](const TaskEntry& t) { return t.name == choice.name; });
  if (found == tasks().end())
    fail("/task/name: {}", unknown("task", choice.name, task_kind().names()));
  return found->start(choice.options);
}

}  // namespace mtlora
