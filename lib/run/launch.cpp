#include "lib/run/launch.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/signals.h"

namespace mtlora {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kGrace{20};  // for the others to notice, report and end

struct Child {
  pid_t pid = 0;
  int said = -1;  // what it writes to stderr, in memory; -1: the terminal's
  bool has_ended = false;
  int status = 0;  // as waitpid's
};

// A port that is free now.
int free_port() {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const bool is_bound =
      socket_fd >= 0 && bind(socket_fd, any, size) == 0 && getsockname(socket_fd, any, &size) == 0;
  if (socket_fd >= 0) close(socket_fd);
  if (!is_bound) fail("--processes: no port of this machine is free: {}", std::strerror(errno));
  return ntohs(address.sin_port);
}

void set_environment(int rank, int processes, int port) {
  const auto set = [](const char* name, const std::string& value) {
    setenv(name, value.c_str(), 1);
  };
  for (const char* name : {"RANK", "LOCAL_RANK"}) set(name, std::to_string(rank));
  for (const char* name : {"WORLD_SIZE", "LOCAL_WORLD_SIZE"}) set(name, std::to_string(processes));
  set("MASTER_ADDR", "127.0.0.1");
  set("MASTER_PORT", std::to_string(port));
}

[[noreturn]] void become(const std::vector<std::string>& arguments, int said) {
  std::string name = "mtlora";
  std::vector<std::string> copies = arguments;
  std::vector<char*> argv{name.data()};
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  if (said >= 0) {
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(nowhere, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
  }
  execv("/proc/self/exe", argv.data());
  _exit(127);
}

Child begin(int rank, int processes, int port, const std::vector<std::string>& arguments) {
  Child child;
  if (rank > 0) child.said = memfd_create("stderr", MFD_CLOEXEC);
  const pid_t launcher = getpid();
  child.pid = fork();
  if (child.pid < 0) fail("--processes: {}", std::strerror(errno));
  if (child.pid > 0) return child;
  // Signals come from here alone, not from the terminal as well; and nobody is left behind, even
  // where the launcher has ended just now.
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != launcher) _exit(128 + SIGTERM);
  set_environment(rank, processes, port);
  become(arguments, child.said);
}

bool has_failed(const Child& child) {
  return child.has_ended && !(WIFEXITED(child.status) && WEXITSTATUS(child.status) == 0);
}

void collect(std::vector<Child>& children) {
  for (Child& child : children)
    if (!child.has_ended && waitpid(child.pid, &child.status, WNOHANG) == child.pid)
      child.has_ended = true;
}

void send(const std::vector<Child>& children, int signal) {
  for (const Child& child : children)
    if (!child.has_ended) kill(child.pid, signal);
}

// Until all have ended. A signal is handed on; a second one ends this program at once, and by that
// the children.
void wait_for(std::vector<Child>& children) {
  bool is_told = false;
  std::optional<Clock::time_point> deadline;
  while (
      !std::all_of(children.begin(), children.end(), [](const Child& c) { return c.has_ended; })) {
    collect(children);
    if (stop_signal() != 0 && !std::exchange(is_told, true)) send(children, stop_signal());
    if (!deadline && std::any_of(children.begin(), children.end(), has_failed))
      deadline = Clock::now() + kGrace;
    if (deadline && Clock::now() > *deadline) send(children, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::string text_of(int memory) {
  std::string text(static_cast<size_t>(std::max<off_t>(0, lseek(memory, 0, SEEK_END))), '\0');
  const ssize_t read = pread(memory, text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, read)));
  return text;
}

int code_of(const Child& child) {
  return WIFSIGNALED(child.status) ? 1 : WEXITSTATUS(child.status);
}

// What the user has not seen yet: ranks that a signal ended, and what others said where the first
// said nothing.
void report(const std::vector<Child>& children) {
  const bool first_spoke = has_failed(children[0]) && !WIFSIGNALED(children[0].status);
  for (size_t rank = 0; rank < children.size(); ++rank) {
    const Child& child = children[rank];
    if (!has_failed(child)) continue;
    if (WIFSIGNALED(child.status))
      log::to_terminal(fmt::format("rank {}: ended by signal {} ({})\n", rank,
                                   WTERMSIG(child.status), strsignal(WTERMSIG(child.status))));
    else if (!first_spoke && child.said >= 0 && code_of(child) == 1)
      log::to_terminal(fmt::format("rank {}: {}", rank, text_of(child.said)));
  }
}

}  // namespace

int launch(int processes, const std::vector<std::string>& arguments) {
  catch_stop_signals();
  const int port = free_port();
  std::vector<Child> children;
  for (int rank = 0; rank < processes; ++rank)
    children.push_back(begin(rank, processes, port, arguments));
  wait_for(children);
  report(children);
  int code = 0;
  for (const Child& child : children) {
    if (code == 0 && has_failed(child)) code = code_of(child);
    if (child.said >= 0) close(child.said);
  }
  return code;
}

}  // namespace mtlora
