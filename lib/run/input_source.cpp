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

std::istream& InputSource::std_in() {
  return std::cin;
}

}  // namespace mtlora
