// What asks the program to finish its step, save and exit: SIGINT and SIGTERM, of which another one
// exits at once when it comes a second or more after the first; SIGHUP (a terminal that closes) and
// SIGUSR1 (a batch system, before its limit).
#pragma once

#include <stdexcept>

namespace mtlora {

/// From here on they are caught, but SIGHUP not where it is ignored already; and SIGPIPE ends
/// nothing: who reads stderr may leave.
void catch_stop_signals();
/// The signal that asked to stop first, or 0.
int stop_signal();

/// Thrown out of long work that a signal asked to stop.
struct Stopped : std::runtime_error {
  Stopped() : std::runtime_error("stopped by a signal") {}
};

}  // namespace mtlora
