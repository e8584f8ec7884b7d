// What a shell needs to complete the program's command lines.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace mtlora {

/// A script for bash: commands, their options, the topics of describe, and behind --set the paths
/// of options; files everywhere else.
std::string bash_completion(const CLI::App& program, const std::vector<std::string>& topics,
                            const std::vector<std::string>& paths);

}  // namespace mtlora
