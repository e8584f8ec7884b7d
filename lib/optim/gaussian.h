// Many normal numbers as a function of a key, block by block (lib/backend/cpu/gaussian.h): the
// directions of optimizers without gradients, which are drawn anew instead of being kept.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace mtlora {

/// Numbers of a block; only the last one of a tensor may have fewer.
constexpr int64_t kGaussianBlock = int64_t{1} << 16;

/// Block `block` of the numbers N(0, 1) that belong to `key`: fp32 [count], 0 < count <=
/// kGaussianBlock. The same on any number of threads; another count gives other numbers.
at::Tensor gaussian_block(uint64_t key, int64_t block, int64_t count);

/// fp32 [sizes], its blocks one after another.
at::Tensor gaussian(uint64_t key, at::IntArrayRef sizes);

}  // namespace mtlora
