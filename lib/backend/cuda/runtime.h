// What is asked of a CUDA device beside kernels. In a build without CUDA there is none: only
// is_built(), device_count(), device_fault(), kernels_in_use(), use_kernels() and kernels_on_host()
// may be called then.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "lib/backend/cuda/kernels.h"

namespace mtlora::backend::cuda {

bool is_built();     ///< whether this build can use CUDA devices
int device_count();  ///< of those that are visible; 0 in a build without CUDA
/// Why no device can be used although there may be one (a driver that is too old); "": no such
/// reason.
std::string device_fault();
/// Of device `index`: 80, 90, …; the kernels are built for the least and above.
int capability(int index);
constexpr int kLeastCapability = 80;

/// From here on the calling thread works on device `index`, on a stream of its own: one that can be
/// captured.
void use_device(int index);
std::string device_name();     ///< of the device in use
int64_t peak_memory();         ///< bytes that tensors took at most
void release_unused_memory();  ///< what the allocator keeps for later
void wait();                   ///< until the device has done all that it was asked for

/// Whether our kernels serve the device: they do, unless MTLORA_BACKEND is "plain" or this was set
/// to false. Then LibTorch's own operations do, but for the masks of dropout.
bool kernels_in_use();
void use_kernels(bool use);

/// Whether the kernels work on the CPU's tensors: so they do where the tests emulate a device.
bool kernels_on_host();

/// The calling thread's stream.
Stream current_stream();

/// A place in what the device was asked for by the thread that made it.
class Moment {
 public:
  Moment();  ///< now
  ~Moment();
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  void wait();  ///< until the device has come there

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Where recorded work keeps what it computes on the way. Graphs that share it may be replayed in
/// any order, one at a time; a result must be taken before another is replayed.
struct GraphMemory {
  GraphMemory();
  uint64_t first, second;  ///< LibTorch's name of it
};

/// Work on the device, recorded once and then replayed as a whole. What it reads and writes must
/// stay where it is.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Records what `work` asks of the device, without doing it. Throws what `work` throws, and
  /// c10::Error where something in it cannot be recorded.
  void capture(const GraphMemory& memory, const std::function<void()>& work);
  void replay();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mtlora::backend::cuda
