#include "lib/metrics/score_threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "lib/core/cores.h"

namespace mtlora {
namespace {

size_t threads_for(size_t count, size_t wanted, size_t block) {
  const auto cores = static_cast<size_t>(cores_for_each(cores_here(), 1, true));
  return std::min(wanted == 0 ? cores : wanted, (count + block - 1) / block);
}

}  // namespace

void parallel_for(size_t count, const std::function<void(size_t)>& each, size_t threads,
                  size_t block) {
  std::atomic<size_t> next = 0;
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&] {
    try {
      for (size_t begin; (begin = next.fetch_add(block)) < count;)
        for (size_t i = begin; i < std::min(count, begin + block); ++i) each(i);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    try {
      for (size_t t = 1; t < threads_for(count, threads, block); ++t) others.emplace_back(work);
    } catch (const std::system_error&) {
      // the system has no room for more: those that run do all there is
    }
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace mtlora
