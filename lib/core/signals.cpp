#include "lib/core/signals.h"

#include <unistd.h>

#include <csignal>

namespace mtlora {
namespace {

volatile std::sig_atomic_t asked = 0, is_urged = 0;

// A terminal that closes may send SIGHUP twice, by the kernel and by the shell, and a batch system
// SIGTERM after SIGUSR1: neither means that nothing shall be saved.
void on_signal(int signal) {
  if (signal == SIGINT || signal == SIGTERM) {
    if (is_urged != 0) _exit(128 + signal);
    is_urged = 1;
  }
  if (asked == 0) asked = signal;
}

bool is_ignored(int signal) {
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  if (!is_ignored(SIGHUP)) sigaction(SIGHUP, &action, nullptr);  // not under nohup
  std::signal(SIGPIPE, SIG_IGN);
}

int stop_signal() {
  return asked;
}

}  // namespace mtlora
