// Architecture: LibTorch's CUDA interface, which is only there in a CUDA build, stands here alone.
#include "lib/backend/cuda/runtime.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <tuple>

namespace mtlora::backend::cuda {

bool is_built() {
  return true;
}

namespace {

struct Found {
  int count = 0;
  std::string fault;
};

const Found& found_devices() {
  static const Found found = [] {
    Found all;
    const cudaError_t error = cudaGetDeviceCount(&all.count);
    if (error == cudaSuccess) return all;
    cudaGetLastError();
    all.count = 0;
    // no device, and no driver at all: not a fault
    int driver = 0;
    const bool has_driver = cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
    if (error != cudaErrorNoDevice && has_driver) all.fault = cudaGetErrorString(error);
    return all;
  }();
  return found;
}

}  // namespace

int device_count() {
  return found_devices().count;
}

std::string device_fault() {
  return found_devices().fault;
}

int capability(int index) {
  const cudaDeviceProp* properties =
      at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(index));
  return 10 * properties->major + properties->minor;
}

void use_device(int index) {
  // NVIDIA's containers switch TF32 on for all of LibTorch: fp32 is to be fp32.
  at::globalContext().setAllowTF32CuBLAS(false);
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

void release_unused_memory() {
  c10::cuda::CUDACachingAllocator::emptyCache();
}

void wait() {
  c10::cuda::device_synchronize();
}

bool kernels_on_host() {
  return false;
}

Stream current_stream() {
  return at::cuda::getCurrentCUDAStream().stream();
}

struct Moment::State {
  at::cuda::CUDAEvent event;
};

Moment::Moment() : state_(std::make_unique<State>()) {
  state_->event.record();
}
Moment::~Moment() = default;

void Moment::wait() {
  state_->event.synchronize();
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
  // What passes that are not recorded have left would lie beside what this one takes.
  release_unused_memory();
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
