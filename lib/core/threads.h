// Threads that are joined whatever happens: also where the system has no room for all of them.
#pragma once

#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace mtlora {

/// Starts work(0) … work(count - 1), each in a thread of its own, for as many threads as
/// train.threads asks for. Where one cannot be started, calls `give_up`, by which those that run
/// are to end, joins them and throws Error.
std::vector<std::jthread> start_threads(
    size_t count, const std::function<void(size_t)>& work,
    const std::function<void()>& give_up = [] {});

}  // namespace mtlora
