// Blocks of CUDA threads on one thread of the CPU. Threads of a block run as fibers: one runs until
// it waits for its warp or for its block, then the next. What a kernel gives must not depend on the
// order in which they run, which can be turned around (set_backwards). A wait that a device would
// never come back from, or whose result is undefined there, ends the program with a message.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

namespace mtlora::emulator {

struct dim3 {  // NOLINT: CUDA's name
  unsigned x, y, z;
  constexpr dim3(unsigned columns = 1, unsigned rows = 1, unsigned layers = 1)  // NOLINT
      : x(columns), y(rows), z(layers) {}
};

// NOLINTBEGIN: CUDA's names
inline thread_local dim3 threadIdx, blockIdx, blockDim, gridDim;
// NOLINTEND

/// Runs `kernel` once for each thread of each block; `threads` is a multiple of 32, at most 1024.
/// Each block begins with `shared` bytes that are all 0xff (NaN as floats).
void run_grid(dim3 grid, int threads, size_t shared, const std::function<void()>& kernel);

/// Where defined, is told of every grid after it has run, as run_grid() was: for what records work.
using GridWatch = std::function<void(dim3, int, size_t, const std::function<void()>&)>;
void set_watch(GridWatch watch);  ///< of the calling thread

/// How many grids have been run.
int64_t grids_run();

/// The bytes that the threads of a block share.
void* shared_memory();

/// From here on blocks and threads run in the order of their numbers, or in the opposite one.
void set_backwards(bool backwards);

/// Ends the program and says where.
[[noreturn]] void fault(const char* what);

/// Of the running thread, in its warp.
int lane();

void wait_for_block();
void wait_for_warp();

/// A copy that is made when the running thread waits for its copies.
void copy_later(void* to, const void* from, size_t bytes);
void wait_for_copies();

/// Gives `bytes` (at most 32) of `value` to the warp, waits until all of its lanes have, and says
/// where those of each lane lie; they do until this lane gives something again.
struct Given {
  const void* operator()(int lane) const;
  size_t slot;
};
Given give(const void* value, size_t bytes);

/// What lane `from` gives.
template <class T>
T shuffle(T value, int from) {
  T result;
  std::memcpy(&result, give(&value, sizeof(T))(from), sizeof(T));
  return result;
}

}  // namespace mtlora::emulator
