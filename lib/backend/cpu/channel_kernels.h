// The CPU kernels that scale channels, on the same terms as kernels.h.
#pragma once

#include "lib/backend/cpu/kernels.h"

namespace mtlora::backend::cpu {

/// y = x ⊙ scale + shift + base, channel by channel; shift and base may be null. y may be base.
template <class T>
struct ScaleCall {
  Rows<const T> x, base;
  const float *scale, *shift;
  Rows<T> y;
  int64_t rows, width;
};

/// dscale += Σ over rows of dy ⊙ x, dshift += Σ dy; either may be null.
template <class T>
struct ChannelSums {
  Rows<const T> dy, x;
  float *dscale, *dshift;
  int64_t rows, width;
};

template <class T>
struct ChannelKernels {
  void (*scale)(const ScaleCall<T>&);
  void (*sums)(const ChannelSums<T>&);
};

/// The kernels of an element type for this CPU, which must have AVX-512.
template <class T>
const ChannelKernels<T>& channel_kernels();

// The compilations among which channel_kernels() chooses.
extern const ChannelKernels<float> float_channels_avx512;
extern const ChannelKernels<Bf16> bf16_channels_avx512;
extern const ChannelKernels<Bf16> bf16_channels_avx512bf16;

}  // namespace mtlora::backend::cpu
