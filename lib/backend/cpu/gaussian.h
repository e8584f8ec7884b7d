// Many normal numbers as a function of a key: Philox4x32-10 (lib/core/random.h), and the transform
// of Box & Muller 1958, "A note on the generation of random normal deviates",
//   r = √(-2 ln u), θ = 2π v, numbers r cos θ and r sin θ.
// One thread, no state, no allocation.
#pragma once

#include <cstdint>

namespace mtlora::backend::cpu {

/// Counters that are drawn side by side. Pairs i = 32 t + l and 32 t + 16 + l, for l below 16, are
/// the words 0, 1 and 2, 3 of the counter {16 t + l, 0, block, block >> 32}.
constexpr int64_t gaussian_lanes = 16;

struct GaussianCall {
  uint64_t key, block;
  int64_t pairs;
  float *first, *second;  ///< [pairs]: r cos θ, r sin θ
};

/// In AVX-512 F, BW, DQ and VL; an ordinary form is in lib/optim/gaussian.cpp.
void gaussian_avx512(const GaussianCall& call);

}  // namespace mtlora::backend::cpu
