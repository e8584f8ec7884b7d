// The processor's cores, as this process may use them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace mtlora {

/// `usable` are those that this process may run on: all of the machine's, or those that a batch
/// system, a container or taskset has left it. `by_time`: as many as the time comes to that it has
/// together with the others of its container; not more than the machine's.
struct Cores {
  int64_t usable, machine, by_time;
};
Cores cores_here();

/// The time that control groups leave a process (docker run --cpus, Kubernetes' limits), in cores,
/// rounded up; nothing where they leave it all. `groups`: /proc/self/cgroup; `root`: where the
/// groups' files are.
std::optional<int64_t> cores_by_quota(const std::filesystem::path& groups,
                                      const std::filesystem::path& root);

/// How many are for each of `processes` on this machine. They share the usable ones where all were
/// started alike; else each is taken to have got its own, where it has not all. Time they share in
/// any case.
int64_t cores_for_each(const Cores& cores, int processes, bool started_alike);

/// For the beginning of main(): where OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY is set, begins
/// the program anew without them, on every core that it was started with. OpenMP's library, which
/// is a part of LibTorch, would bind each of our threads, none of which it started, to the first
/// core.
void begin_without_openmp_binding(char** argv);

}  // namespace mtlora
