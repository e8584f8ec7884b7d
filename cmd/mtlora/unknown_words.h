// Words of a command line that no command and no option has taken.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace mtlora {

/// A line for each such word, with the nearest known one, after `program` has parsed or failed to;
/// "" where there is none.
std::string unknown_words(const CLI::App& program);

}  // namespace mtlora
