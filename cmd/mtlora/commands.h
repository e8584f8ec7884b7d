// Every command with its options and examples.
#pragma once

#include <CLI/CLI.hpp>

#include "cmd/mtlora/command_line.h"

namespace mtlora {

/// Gives the program its commands; parsing one sets `action`, which outlives the program.
void add_commands(CLI::App& program, Action& action);

}  // namespace mtlora
