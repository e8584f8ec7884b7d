// Sums of tensors over processes that each have a GPU of their own, asked of the GPUs and not
// waited for. What only the processes' end would end is watched: a sum whose other side is gone
// would keep its GPU, and whoever waits for that, for good.
#pragma once

#include <ATen/ATen.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace mtlora::backend {

namespace cuda {
class Nccl;
}

/// Why sums have ended before they were done.
struct EndedSums {
  std::string why;
  bool in_time;         ///< before the time for them had passed
  bool is_own = false;  ///< this process's own failure: no other is to blame
};

class DeviceSums {
 public:
  /// `others`: the marks (lib/core/processes.h) of the other processes, all of which run.
  DeviceSums(std::unique_ptr<cuda::Nccl> nccl, std::vector<std::string> others,
             std::chrono::milliseconds timeout);
  ~DeviceSums();
  DeviceSums(const DeviceSums&) = delete;
  DeviceSums& operator=(const DeviceSums&) = delete;

  /// In place, when the calling thread's stream comes there; contiguous, fp32 or fp64, on the
  /// device. Throws EndedSums.
  void ask(const std::vector<at::Tensor>& tensors);
  /// Throws EndedSums where what was asked for may not be the sums. They are where the device is
  /// known to have done them before this call.
  void check() const;
  /// For what another process has told: sums under way end.
  void end(const EndedSums& why);

 private:
  void watch();
  bool sleeps_on();
  std::optional<EndedSums> reason();
  std::optional<EndedSums> reason_of_device();

  std::unique_ptr<cuda::Nccl> nccl_;
  std::vector<std::string> others_;
  std::chrono::milliseconds timeout_;
  int64_t looked_at_ = -1;  // the sum that was under way
  std::chrono::steady_clock::time_point since_;

  mutable std::mutex mutex_;
  std::condition_variable closing_;
  bool is_closing_ = false;
  std::optional<EndedSums> ended_;
  std::thread watcher_;  // the last: it uses all others
};

}  // namespace mtlora::backend
