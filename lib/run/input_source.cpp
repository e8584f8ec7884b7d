#include "lib/run/input_source.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>

#include "lib/core/error.h"
#include "lib/data/input_lines.h"

namespace mtlora {
namespace fs = std::filesystem;

void check_input_options(const std::string& input, const std::string& split) {
  if (!input.empty() && !split.empty())
    throw UsageError("only one of --input FILE and --split NAME can be given");
}

InputSource::InputSource(const std::string& input)
    : is_stdin_(input.empty() || input == "-"), name_(is_stdin_ ? "stdin" : input) {
  if (is_stdin_) return;
  file_.open(input);
  std::error_code ignored;
  if (!file_ || fs::is_directory(input, ignored))
    fail("--input {}: is no file that can be read", input);
  extension_ = fs::path(input).extension().string();
  std::transform(extension_.begin(), extension_.end(), extension_.begin(),
                 [](unsigned char c) { return std::tolower(c); });
}

bool InputSource::is_idle() {
  constexpr int moment = 20;  // milliseconds, for a pipe that is being filled
  if (stream().rdbuf()->in_avail() > 0) return false;
  pollfd in{STDIN_FILENO, POLLIN, 0};
  return !is_stdin_ || poll(&in, 1, moment) == 0;
}

void InputSource::refuse(const std::vector<std::string>& extensions) const {
  if (std::find(extensions.begin(), extensions.end(), extension_) == extensions.end()) return;
  fail(
      "--input {}: holds more than texts, one a line; --split test with --set task.test={} reads "
      "it as the task's data, JSON objects one a line end in .jsonl",
      name_, fs::absolute(name_).string());
}

std::istream& InputSource::std_in() {
  // What has come can only be seen in a buffer of its own. To be asked for before anything is read.
  [[maybe_unused]] static const bool was_shared = std::ios::sync_with_stdio(false);
  return std::cin;
}

void for_lines(InputSource& input,
               const std::function<void(const std::string& line, const std::string& where)>& take,
               const std::function<void()>& answer) {
  constexpr size_t most = 256;  // that are computed together
  InputLines lines(input.stream(), input.name());
  size_t taken = 0;
  for (std::string line; lines.next(line);) {
    take(line, lines.where());
    if (++taken < most && !input.is_idle()) continue;
    answer();
    taken = 0;
  }
  if (taken > 0) answer();
}

}  // namespace mtlora
