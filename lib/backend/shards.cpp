#include "lib/backend/shards.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "lib/core/threads.h"

namespace mtlora::backend {

struct ShardPool::State {
  std::mutex mutex;
  std::condition_variable started, finished;
  const std::function<void(int)>* work = nullptr;
  uint64_t round = 0;
  int running = 0;
  bool ending = false, gradients = true;
  std::vector<std::exception_ptr> errors;
  std::vector<std::jthread> workers;

  void call(int shard, const std::function<void(int)>& f) {
    try {
      f(shard);
    } catch (...) {
      errors[static_cast<size_t>(shard)] = std::current_exception();
    }
  }

  void end() {
    {
      const std::scoped_lock lock(mutex);
      ending = true;
    }
    started.notify_all();
  }

  void serve(int shard) {
    at::set_num_threads(1);
    uint64_t done = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      started.wait(lock, [&] { return ending || round != done; });
      if (ending) return;
      done = round;
      const auto* f = work;
      const bool with_gradients = gradients;
      lock.unlock();
      {
        at::AutoGradMode mode(with_gradients);
        call(shard, *f);
      }
      lock.lock();
      if (--running == 0) finished.notify_one();
    }
  }
};

ShardPool::ShardPool(int threads) : state_(std::make_unique<State>()) {
  TORCH_INTERNAL_ASSERT(threads >= 1, "a pool of ", threads, " threads");
  const int before = at::get_num_threads();
  state_->errors.resize(static_cast<size_t>(threads));
  State* state = state_.get();
  state->workers = start_threads(
      static_cast<size_t>(threads - 1),
      [state](size_t i) { state->serve(static_cast<int>(i) + 1); }, [state] { state->end(); });
  at::set_num_threads(before);
}

ShardPool::~ShardPool() {
  state_->end();
  state_->workers.clear();  // joined while what they use is still there
}

int ShardPool::threads() const {
  return static_cast<int>(state_->errors.size());
}

void ShardPool::run(const std::function<void(int)>& work) {
  State& state = *state_;
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  {
    const std::scoped_lock lock(state.mutex);
    state.work = &work;
    state.gradients = at::GradMode::is_enabled();
    state.errors.assign(state.errors.size(), nullptr);
    state.running = threads() - 1;
    ++state.round;
  }
  state.started.notify_all();
  state.call(0, work);
  {
    std::unique_lock lock(state.mutex);
    state.finished.wait(lock, [&] { return state.running == 0; });
  }
  at::set_num_threads(before);
  for (const std::exception_ptr& error : state.errors)
    if (error) std::rethrow_exception(error);
}

}  // namespace mtlora::backend
