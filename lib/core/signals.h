// SIGINT and SIGTERM: the first asks the program to finish its step, save and exit; the second
// exits at once.
#pragma once

namespace mtlora {

/// From here on both signals are caught.
void catch_stop_signals();
/// The signal that asked to stop, or 0.
int stop_signal();

}  // namespace mtlora
