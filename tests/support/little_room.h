// A process that has little room left: for a few threads, not for many.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace mtlora::test {

/// As long as it lives, this process gets no more than 200 MiB of addresses beside those it has; a
/// thread's stack takes 8 of them, or as many as `ulimit -s` says.
class LittleRoom {
 public:
  LittleRoom() {
    getrlimit(RLIMIT_AS, &before_);
    rlim_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    rlimit little = before_;
    little.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{200} << 20);
    setrlimit(RLIMIT_AS, &little);
  }
  ~LittleRoom() { setrlimit(RLIMIT_AS, &before_); }
  LittleRoom(const LittleRoom&) = delete;
  LittleRoom& operator=(const LittleRoom&) = delete;

 private:
  rlimit before_{};
};

}  // namespace mtlora::test
