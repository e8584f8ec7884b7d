#include "lib/core/cores.h"

#include <dlfcn.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace mtlora {
namespace fs = std::filesystem;
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

// Of one group: microseconds in each period; nothing where there is no limit, or no such group.
std::optional<double> quota_of(const fs::path& group) {
  double quota = 0, period = 0;
  if (std::ifstream file(group / "cpu.max"); file >> quota >> period && period > 0)
    return quota / period;                             // "max 100000" is no number
  std::ifstream(group / "cpu.cfs_quota_us") >> quota;  // -1: no limit
  std::ifstream(group / "cpu.cfs_period_us") >> period;
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

// A line of /proc/self/cgroup, "id:controllers:/path", that is about a process's time: where the
// files of its groups are, and the group.
struct TimeGroup {
  std::vector<fs::path> roots;  // of version 1 the controllers' folder, which may have another name
  fs::path path;
};

// Nothing where the line is about something else. Version 2 names no controllers.
std::optional<TimeGroup> time_group(const std::string& line, const fs::path& root) {
  const size_t first = line.find(':'), second = line.find(':', first + 1);
  if (second == std::string::npos) return std::nullopt;
  const std::string controllers = line.substr(first + 1, second - first - 1);
  const bool is_time = ("," + controllers + ",").find(",cpu,") != std::string::npos;
  if (!controllers.empty() && !is_time) return std::nullopt;
  const fs::path path = fs::path(line.substr(second + 1)).relative_path();
  if (controllers.empty()) return TimeGroup{{root}, path};
  return TimeGroup{{root / controllers, root / "cpu"}, path};
}

}  // namespace

std::optional<int64_t> cores_by_quota(const fs::path& groups, const fs::path& root) {
  std::optional<double> least;
  std::ifstream file(groups);
  for (std::string line; std::getline(file, line);) {
    const auto found = time_group(line, root);
    if (!found) continue;
    // A group has what the groups around it leave it. In a container, which sees its own group as
    // the root, the path may name what is not there.
    for (fs::path group = found->path;; group = group.parent_path()) {
      for (const fs::path& above : found->roots)
        if (const auto quota = quota_of(above / group))
          least = std::min(*quota, least.value_or(*quota));
      if (group.empty()) break;
    }
  }
  if (!least) return std::nullopt;
  return std::max<int64_t>(1, static_cast<int64_t>(std::ceil(*least)));
}

Cores cores_here() {
  const int64_t machine = std::max(1U, std::thread::hardware_concurrency());
  const CoreSet set = cores_of_this_thread();
  const int64_t own = set.empty() ? machine : CPU_COUNT_S(bytes_of(set), set.data());
  const auto by_time = cores_by_quota("/proc/self/cgroup", "/sys/fs/cgroup");
  return {std::max<int64_t>(1, own), machine, std::min(machine, by_time.value_or(machine))};
}

int64_t cores_for_each(const Cores& cores, int processes, bool started_alike) {
  const int64_t alike = cores.usable / processes;
  const int64_t own = std::min(cores.usable, cores.machine / processes);
  return std::max<int64_t>(1, std::min(started_alike ? alike : own, cores.by_time / processes));
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
  execv(fs::read_symlink("/proc/self/exe", ignored).c_str(), argv);
}

}  // namespace mtlora
