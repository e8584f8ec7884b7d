#include "lib/run/input_source.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iostream>

#include "lib/core/error.h"

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

void InputSource::refuse(const std::vector<std::string>& extensions) const {
  if (std::find(extensions.begin(), extensions.end(), extension_) == extensions.end()) return;
  fail(
      "--input {}: holds more than texts, one a line; --split test with --set task.test={} reads "
      "it as the task's data, JSON objects one a line end in .jsonl",
      name_, fs::absolute(name_).string());
}

std::istream& InputSource::std_in() {
  return std::cin;
}

}  // namespace mtlora
