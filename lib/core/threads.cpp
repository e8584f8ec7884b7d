#include "lib/core/threads.h"

#include <system_error>

#include "lib/core/error.h"

namespace mtlora {

std::vector<std::jthread> start_threads(size_t count, const std::function<void(size_t)>& work,
                                        const std::function<void()>& give_up) {
  std::vector<std::jthread> threads;
  try {
    for (size_t i = 0; i < count; ++i) threads.emplace_back(work, i);
  } catch (const std::system_error& e) {
    give_up();
    fail("/train/threads: the system starts only {} of {} more threads: {}", threads.size(), count,
         e.code().message());
  }
  return threads;
}

}  // namespace mtlora
