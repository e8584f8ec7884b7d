// The program: command line → lib/run, and what becomes of errors. No logic.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <new>
#include <string>

#include "cmd/mtlora/command_line.h"
#include "lib/core/cores.h"
#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/core/output.h"

namespace mtlora {
namespace {

// Not by fmt::print, which throws where stderr takes nothing.
void complain(const std::string& message) {
  log::to_terminal("error: " + message + "\n");
}

// Those that the caller has closed: else a file of ours would get the number of stderr, and what is
// said with it. Open for reading alone, they still cannot be written.
void take_standard_descriptors() {
  int descriptor = 0;
  do descriptor = open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO);
  if (descriptor >= 0) close(descriptor);
}

int run(int argc, char** argv) {
  try {
    const int code = parse_command_line(argc, argv)();
    flush_output();
    return code;
  } catch (const UsageError& e) {
    complain(e.what());
    return kWrongCommandLine;
  } catch (const Error& e) {
    complain(e.what());
  } catch (const std::filesystem::filesystem_error& e) {
    // A folder that may not be looked into, links in a circle, too long a name.
    complain(fmt::format("{}: {}", e.path1().string(), e.code().message()));
  } catch (const std::bad_alloc&) {
    complain("out of memory; a smaller train.batch_size needs less");
  } catch (const std::exception& e) {
    std::string what = e.what();  // LibTorch's go on with a stack trace
    what = what.substr(0, what.find('\n'));
    const size_t memory = what.find("can't allocate memory");
    complain(memory != std::string::npos ? "out of memory: " + what.substr(memory)
                                         : "something went wrong inside the program: " + what);
  }
  return 1;
}

// Not by way of the libraries' own destructors: LibTorch's take as long as a short command, and a
// thread that waits for a process which never answers (ProcessGroup) may still use what they take
// away.
[[noreturn]] void leave(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

}  // namespace
}  // namespace mtlora

int main(int argc, char** argv) {
  mtlora::take_standard_descriptors();
  std::signal(SIGXFSZ, SIG_IGN);  // a file past the limit is an error of the write, which is told
  mtlora::begin_without_openmp_binding(argv);
  const int code = mtlora::run(argc, argv);
#ifdef __SANITIZE_ADDRESS__
  return code;  // what has leaked is told at the end
#else
  mtlora::leave(code);
#endif
}
