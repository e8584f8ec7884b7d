// What the emulated kernels bring beside themselves, in place of
// lib/backend/cuda/absent_kernels.cpp.
#include <atomic>
#include <map>
#include <set>

#include "lib/backend/cuda/runtime.h"
#include "tests/emulator/recorder.h"

namespace mtlora::backend::cuda {

bool kernels_on_host() {
  return true;
}

Stream current_stream() {
  return nullptr;
}

void release_unused_memory() {}

GraphMemory::GraphMemory() : first(0), second(0) {
  static std::atomic<uint64_t> count = 0;
  first = ++count;
}

namespace {

/// All that is recorded, by its memory.
std::map<uint64_t, std::set<emulator::Recording*>>& recordings() {
  static std::map<uint64_t, std::set<emulator::Recording*>> all;
  return all;
}

}  // namespace

struct Graph::State {
  emulator::Recording recording;
  uint64_t memory = 0;  // 0: nothing is recorded
};

Graph::Graph() : state_(std::make_unique<State>()) {}

Graph::~Graph() {
  if (state_->memory != 0) recordings()[state_->memory].erase(&state_->recording);
}

void Graph::capture(const GraphMemory& memory, const std::function<void()>& work) {
  state_->recording.record(work);
  state_->memory = memory.first;
  recordings()[memory.first].insert(&state_->recording);
}

void Graph::replay() {
  for (const emulator::Recording* other : recordings()[state_->memory]) other->spoil();
  state_->recording.replay();
}

}  // namespace mtlora::backend::cuda
