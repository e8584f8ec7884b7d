// Segments are scored on all cores; each writes its own place, so the number of threads changes no
// digit.
#pragma once

#include <cstddef>
#include <functional>

namespace mtlora {

/// Calls `each` with 0 … count-1 on `threads` threads (0: as many as there are cores; fewer where
/// the system has no room for them), each of which takes `block` of them at once; the first
/// exception that one of them throws is thrown here.
void parallel_for(size_t count, const std::function<void(size_t)>& each, size_t threads = 0,
                  size_t block = 64);

}  // namespace mtlora
