// What the tests of tasks share.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/data/task.h"
#include "tests/support/paths.h"

namespace mtlora::test {

inline std::filesystem::path samples(const std::string& folder) {
  return source_root() / "data" / "samples" / folder;
}

/// The task of that name over the files of `folder`, with further options.
inline std::unique_ptr<Task> task_over(const std::string& name, const std::filesystem::path& folder,
                                       Json options = Json::object()) {
  options["data"] = folder.string();
  return start_task({name, options});
}

inline std::unique_ptr<TextTask> text_task_over(const std::string& name,
                                                const std::filesystem::path& folder,
                                                Json options = Json::object()) {
  options["data"] = folder.string();
  return start_text_task({name, options});
}

/// All texts of a data set: pairs, then prompts with group and references; 0x1f ends a text, 0x1e a
/// pair or prompt.
inline std::string flat(const TextData& data) {
  std::string all;
  for (const TextPair& pair : data.pairs)
    all += pair.context + '\x1f' + pair.completion + "\x1f\x1e";
  for (const Prompt& prompt : data.prompts) {
    all += prompt.context + '\x1f' + prompt.group + '\x1f';
    for (const std::string& reference : prompt.references) all += reference + '\x1f';
    all += '\x1e';
  }
  return all;
}

/// `message` with `file` replaced by "F".
inline std::string with_f(std::string message, const std::string& file) {
  for (size_t at; (at = message.find(file)) != std::string::npos;)
    message.replace(at, file.size(), "F");
  return message;
}

/// How often each label occurs.
inline std::map<double, int> label_counts(const Dataset& data) {
  std::map<double, int> counts;
  for (const Example& example : data.examples) ++counts[example.label];
  return counts;
}

/// The message of the Error that `act` throws, or "" when it throws none.
inline std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

/// The report of a training file of `task` with this content, the file's path replaced by "F".
inline std::string report(const std::string& task, const std::string& name,
                          const std::string& content) {
  const TempDir folder;
  const std::string file = (folder / name).string();
  write_file(file, content);
  return with_f(error_of([&] { task_over(task, folder.path())->load("train"); }), file);
}

}  // namespace mtlora::test
