// What a result should say about where it was made.
#pragma once

#include <string>

#include "lib/core/json.h"

namespace mtlora {

/// Versions, processor, threads, compute type; and the CUDA device, "" for none.
Json environment(const std::string& dtype, int threads, const std::string& device);
/// Largest memory that the process has held, in bytes.
int64_t process_peak_memory_bytes();

}  // namespace mtlora
