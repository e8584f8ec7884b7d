// What can be asked on the command line: commands, their options, examples.
#pragma once

#include <functional>

namespace mtlora {

constexpr int kWrongCommandLine = 2;  ///< exit code

/// Does what was asked, and returns the exit code.
using Action = std::function<int()>;

/// The command of the command line. Where that is wrong, or asks for help or the version, these are
/// printed here, and the action only returns the exit code.
Action parse_command_line(int argc, char** argv);

}  // namespace mtlora
