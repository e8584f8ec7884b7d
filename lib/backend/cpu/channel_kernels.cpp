#include "lib/backend/cpu/channel_kernels.h"

#include "lib/backend/cpu/features.h"
#include "lib/core/error.h"

namespace mtlora::backend::cpu {

#if defined(__x86_64__)
template <>
const ChannelKernels<float>& channel_kernels() {
  return float_channels_avx512;
}
template <>
const ChannelKernels<Bf16>& channel_kernels() {
  return has_avx512_bf16() ? bf16_channels_avx512bf16 : bf16_channels_avx512;
}
#else
template <>
const ChannelKernels<float>& channel_kernels() {
  fail("this program was built without the avx512 kernels");
}
template <>
const ChannelKernels<Bf16>& channel_kernels() {
  fail("this program was built without the avx512 kernels");
}
#endif

}  // namespace mtlora::backend::cpu
