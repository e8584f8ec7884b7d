// Threads that stay, each for one shard of a batch: a forward and backward pass of its own, every
// operation in it single-threaded.
#pragma once

#include <functional>
#include <memory>

namespace mtlora::backend {

/// Runs a function once a shard, in parallel. The calling thread is shard 0.
class ShardPool {
 public:
  /// threads >= 1, the calling one included. Throws Error where the system has no room for them.
  explicit ShardPool(int threads);
  ~ShardPool();
  ShardPool(const ShardPool&) = delete;
  ShardPool& operator=(const ShardPool&) = delete;

  int threads() const;

  /// Calls work(0) … work(threads - 1) and returns when all have. Gradients are recorded in every
  /// thread as they are in the caller; LibTorch's operations use one thread each meanwhile. If some
  /// throw, the exception of the lowest shard is thrown here, after all have ended.
  void run(const std::function<void(int shard)>& work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mtlora::backend
