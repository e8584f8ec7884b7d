#include "lib/core/cores.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

namespace mtlora {
namespace {

// A set of cores that is large enough for the machine's; empty where the system does not say.
using CoreSet = std::vector<cpu_set_t>;

size_t bytes_of(const CoreSet& set) {
  return set.size() * sizeof(cpu_set_t);
}

CoreSet cores_of_this_thread() {
  for (CoreSet set(1); set.size() <= 1024; set.resize(2 * set.size())) {
    if (sched_getaffinity(0, bytes_of(set), set.data()) == 0) return set;
    if (errno != EINVAL) break;
  }
  return {};
}

// A function of OpenMP's library, where the program has that.
template <class Function>
Function* openmp(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

Cores cores_here() {
  const int64_t machine = std::max(1U, std::thread::hardware_concurrency());
  const CoreSet set = cores_of_this_thread();
  return {set.empty() ? machine : std::max(1, CPU_COUNT_S(bytes_of(set), set.data())), machine};
}

int64_t cores_for_each(const Cores& cores, int processes, bool started_alike) {
  const int64_t alike = cores.usable / processes;
  const int64_t own = std::min(cores.usable, cores.machine / processes);
  return std::max<int64_t>(1, started_alike ? alike : own);
}

void begin_without_openmp_binding(char** argv) {
  const auto places = openmp<int()>("omp_get_num_places");
  const auto size_of = openmp<int(int)>("omp_get_place_num_procs");
  const auto list = openmp<void(int, int*)>("omp_get_place_proc_ids");
  CoreSet set = cores_of_this_thread();
  if (!places || !size_of || !list || set.empty() || places() == 0) return;
  for (int place = 0; place < places(); ++place) {
    std::vector<int> cores(static_cast<size_t>(size_of(place)));
    list(place, cores.data());
    for (const int core : cores) CPU_SET_S(static_cast<size_t>(core), bytes_of(set), set.data());
  }
  sched_setaffinity(0, bytes_of(set), set.data());  // this thread is bound already
  for (const char* name : {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"}) unsetenv(name);
  std::error_code ignored;
  execv(std::filesystem::read_symlink("/proc/self/exe", ignored).c_str(), argv);
}

}  // namespace mtlora
