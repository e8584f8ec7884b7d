// SIGINT and SIGTERM: the first asks the program to finish its step, save and exit; the second
// exits at once.
#pragma once

#include <stdexcept>

namespace mtlora {

/// From here on both signals are caught.
void catch_stop_signals();
/// The signal that asked to stop, or 0.
int stop_signal();

/// Thrown out of long work that a signal asked to stop.
struct Stopped : std::runtime_error {
  Stopped() : std::runtime_error("stopped by a signal") {}
};

}  // namespace mtlora
