// The commands on what others have left: score, export, inspect, compare.
#pragma once

#include <CLI/CLI.hpp>

#include "cmd/mtlora/command_line.h"

namespace mtlora {

/// Each gives the program one command; parsing it sets `action`, which outlives the program.
void add_score(CLI::App& program, Action& action);
void add_export(CLI::App& program, Action& action);
void add_inspect(CLI::App& program, Action& action);
void add_compare(CLI::App& program, Action& action);

}  // namespace mtlora
