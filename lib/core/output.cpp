#include "lib/core/output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "lib/core/error.h"

namespace mtlora {

void flush_output() {
  if (std::fflush(stdout) != 0) fail("stdout: cannot write: {}", std::strerror(errno));
}

}  // namespace mtlora
