// Options that several commands have.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "lib/run/commands.h"

namespace mtlora {

/// --config and --set.
void add_config(CLI::App& app, ConfigSource& source);

/// --checkpoint, --model, --config and --set.
void add_source(CLI::App& app, ModelSource& source);

/// --out, a folder.
CLI::Option* add_out(CLI::App& app, std::string& out, const std::string& help);

}  // namespace mtlora
