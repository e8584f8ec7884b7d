#include "lib/backend/cpu/decoder_kernels.h"

#include "lib/backend/cpu/features.h"
#include "lib/core/error.h"

namespace mtlora::backend::cpu {

#if defined(__x86_64__)
template <>
const DecoderKernels<float>& decoder_kernels() {
  return float_decoder_avx512;
}
template <>
const DecoderKernels<Bf16>& decoder_kernels() {
  return has_avx512_bf16() ? bf16_decoder_avx512bf16 : bf16_decoder_avx512;
}
#else
template <>
const DecoderKernels<float>& decoder_kernels() {
  fail("this program was built without the avx512 kernels");
}
template <>
const DecoderKernels<Bf16>& decoder_kernels() {
  fail("this program was built without the avx512 kernels");
}
#endif

}  // namespace mtlora::backend::cpu
