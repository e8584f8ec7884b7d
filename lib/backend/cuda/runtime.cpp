// Architecture: LibTorch's CUDA interface, which is only there in a CUDA build, stands here alone.
#include "lib/backend/cuda/runtime.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <tuple>

namespace mtlora::backend::cuda {

bool is_built() {
  return true;
}

int device_count() {
  static const int count = [] {
    int found = 0;
    const cudaError_t error = cudaGetDeviceCount(&found);
    if (error == cudaSuccess) return found;
    cudaGetLastError();  // none, or no driver: not a fault
    return 0;
  }();
  return count;
}

void use_device(int index) {
  c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  at::cuda::setCurrentCUDAStream(at::cuda::getStreamFromPool(
      /*isHighPriority=*/false, static_cast<c10::DeviceIndex>(index)));
}

std::string device_name() {
  return at::cuda::getCurrentDeviceProperties()->name;
}

int64_t peak_memory() {
  const auto stats = c10::cuda::CUDACachingAllocator::getDeviceStats(c10::cuda::current_device());
  return stats.allocated_bytes[0].peak;
}

void wait() {
  c10::cuda::device_synchronize();
}

Stream current_stream() {
  return at::cuda::getCurrentCUDAStream().stream();
}

struct Graph::State {
  at::cuda::CUDAGraph graph;
};

Graph::Graph() : state_(std::make_unique<State>()) {}
Graph::~Graph() = default;

GraphMemory::GraphMemory() {
  std::tie(first, second) = at::cuda::graph_pool_handle();
}

void Graph::capture(const GraphMemory& memory, const std::function<void()>& work) {
  wait();
  state_->graph.capture_begin({memory.first, memory.second});
  try {
    work();
  } catch (...) {
    try {
      state_->graph.capture_end();
    } catch (const c10::Error&) {  // of the capture that `work` has broken: its own error says more
    }
    throw;
  }
  state_->graph.capture_end();
}

void Graph::replay() {
  state_->graph.replay();
}

}  // namespace mtlora::backend::cuda
