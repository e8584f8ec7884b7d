#include "lib/core/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "lib/core/error.h"

namespace mtlora {

void flush_output() {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  // no reason: it failed some time ago
  fail("stdout: cannot write{}", errno == 0 ? "" : std::string(": ") + std::strerror(errno));
}

}  // namespace mtlora
