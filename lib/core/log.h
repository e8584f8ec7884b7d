// Messages to the person at the terminal (stderr) and to a run's log.txt. That nobody takes what
// goes to stderr is no fault. Takes finished strings: spdlog stays out of headers.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace mtlora::log {

void info(const std::string& message);
void warn(const std::string& message);

/// Writes `text` as it is to stderr alone. What cannot be written there is lost.
void to_terminal(std::string_view text);

/// Writes a message to the file of also_to() alone, where there is one: what stdout gets.
void to_file(const std::string& message);

/// Shows `line` (ASCII) below all messages of a stderr that is a terminal, as far as it is wide
/// enough: the next line, or a message, takes its place. "": none.
void show_status(std::string_view line);

/// Appends everything to `file` too, with time stamps, until the program ends or another file is
/// named; the first file gets what was said before it as well. Throws Error where it cannot be
/// written.
void also_to(const std::filesystem::path& file);

/// Only warnings reach the terminal (the file still gets all).
void quiet(bool on);

/// Whether stderr is a terminal that wants colours (NO_COLOR unset, TERM not "dumb").
bool colours();

}  // namespace mtlora::log
