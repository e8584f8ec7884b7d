#include "tests/emulator/block.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

namespace mtlora::emulator {

void fault(const char* what) {
  std::fprintf(stderr, "CUDA emulator: block (%u, %u, %u), thread %u: %s\n", blockIdx.x, blockIdx.y,
               blockIdx.z, threadIdx.x, what);
  std::abort();
}

namespace {

constexpr int kWarp = 32;
constexpr size_t kMostBytes = 32;  // of what a lane gives
constexpr size_t kStack = 64 * 1024;

std::atomic<bool> is_backwards = false;
std::atomic<int64_t> grids = 0;

using Fiber = boost::context::fiber;

enum class State { ready, at_exchange, at_warp, at_block, done };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Thread {
  Fiber own;     // where it goes on
  Fiber caller;  // where it gives back to
  State state = State::ready;
  // What it gave the last two times: a lane that is one ahead does not write over what others still
  // read, and none can be two ahead.
  std::array<std::array<std::byte, kMostBytes>, 2> given;
  unsigned exchanges = 0;
  std::vector<Copy> copies;  // not yet made
};

class Block {
 public:
  Block(int threads, const std::function<void()>& kernel, size_t shared, bool backwards);

  void run();
  void wait(State state);
  size_t give(const void* value, size_t bytes);
  const void* given(int lane, size_t slot) const;
  std::vector<Copy>& copies() { return threads_[threadIdx.x].copies; }
  void* shared() { return shared_.data(); }

 private:
  void resume(size_t index);
  void run_warp(size_t warp);
  size_t count(size_t first, size_t number, State state) const;
  void release(size_t first, size_t number, State from);

  std::vector<Thread> threads_;
  std::vector<std::byte> shared_;
  std::vector<size_t> lanes_, warps_;  // in the order in which they run
};

thread_local Block* running = nullptr;
thread_local GridWatch grid_watch;

std::vector<size_t> ordered(size_t count, bool backwards) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  if (backwards) std::reverse(order.begin(), order.end());
  return order;
}

boost::context::pooled_fixedsize_stack& stacks() {
  static thread_local boost::context::pooled_fixedsize_stack pool(kStack);
  return pool;
}

Block::Block(int threads, const std::function<void()>& kernel, size_t shared, bool backwards)
    : threads_(static_cast<size_t>(threads)),
      shared_(shared, std::byte{0xff}),
      lanes_(ordered(kWarp, backwards)),
      warps_(ordered(static_cast<size_t>(threads) / kWarp, backwards)) {
  for (Thread& thread : threads_)
    thread.own = Fiber(std::allocator_arg, stacks(), [&thread, &kernel](Fiber&& caller) {
      thread.caller = std::move(caller);
      kernel();
      thread.state = State::done;
      return std::move(thread.caller);
    });
}

void Block::resume(size_t index) {
  Thread& thread = threads_[index];
  threadIdx = dim3(static_cast<unsigned>(index));
  thread.own = std::move(thread.own).resume();
}

void Block::wait(State state) {
  Thread& thread = threads_[threadIdx.x];
  thread.state = state;
  thread.caller = std::move(thread.caller).resume();
}

size_t Block::give(const void* value, size_t bytes) {
  if (bytes > kMostBytes) fault("a value too large to be exchanged");
  Thread& thread = threads_[threadIdx.x];
  const size_t slot = thread.exchanges++ % 2;
  std::memcpy(thread.given[slot].data(), value, bytes);
  wait(State::at_exchange);
  return slot;
}

const void* Block::given(int lane, size_t slot) const {
  const Thread& source = threads_[threadIdx.x / kWarp * kWarp + static_cast<size_t>(lane)];
  if (source.exchanges < threads_[threadIdx.x].exchanges)
    fault("a value is taken from a lane that has ended");
  return source.given[slot].data();
}

size_t Block::count(size_t first, size_t number, State state) const {
  size_t found = 0;
  for (size_t i = first; i < first + number; ++i) found += threads_[i].state == state;
  return found;
}

void Block::release(size_t first, size_t number, State from) {
  for (size_t i = first; i < first + number; ++i)
    if (threads_[i].state == from) threads_[i].state = State::ready;
}

// Until each of its threads waits for the block or has ended.
void Block::run_warp(size_t warp) {
  const size_t first = warp * kWarp;
  while (true) {
    for (const size_t lane : lanes_)
      if (threads_[first + lane].state == State::ready) resume(first + lane);
    const size_t alive = kWarp - count(first, kWarp, State::done);
    if (count(first, kWarp, State::at_block) == alive) return;
    for (const State state : {State::at_exchange, State::at_warp})
      if (count(first, kWarp, state) == alive) release(first, kWarp, state);
    if (count(first, kWarp, State::ready) == 0)
      fault("the lanes of a warp wait in different places");
  }
}

void Block::run() {
  running = this;
  while (count(0, threads_.size(), State::done) < threads_.size()) {
    for (const size_t warp : warps_) run_warp(warp);
    release(0, threads_.size(), State::at_block);
  }
  running = nullptr;
}

}  // namespace

void run_grid(dim3 grid, int threads, size_t shared, const std::function<void()>& kernel) {
  if (threads <= 0 || threads > 1024 || threads % kWarp != 0) fault("a block of that many threads");
  ++grids;
  gridDim = grid;
  blockDim = dim3(static_cast<unsigned>(threads));
  const bool backwards = is_backwards;
  for (const size_t i : ordered(size_t{grid.x} * grid.y * grid.z, backwards)) {
    const auto index = static_cast<unsigned>(i);
    blockIdx = dim3(index % grid.x, index / grid.x % grid.y, index / grid.x / grid.y);
    Block(threads, kernel, shared, backwards).run();
  }
  if (grid_watch) grid_watch(grid, threads, shared, kernel);
}

void set_watch(GridWatch watch) {
  grid_watch = std::move(watch);
}

int64_t grids_run() {
  return grids;
}

void* shared_memory() {
  return running->shared();
}

void set_backwards(bool backwards) {
  is_backwards = backwards;
}

int lane() {
  return static_cast<int>(threadIdx.x) % kWarp;
}

void copy_later(void* to, const void* from, size_t bytes) {
  running->copies().push_back({to, from, bytes});
}

void wait_for_copies() {
  for (const Copy& copy : running->copies()) std::memcpy(copy.to, copy.from, copy.bytes);
  running->copies().clear();
}

void wait_for_block() {
  running->wait(State::at_block);
}

void wait_for_warp() {
  running->wait(State::at_warp);
}

const void* Given::operator()(int lane) const {
  return running->given(lane, slot);
}

Given give(const void* value, size_t bytes) {
  return {running->give(value, bytes)};
}

}  // namespace mtlora::emulator
