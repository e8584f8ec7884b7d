// The decoder kernels as AVX-512 F, BW, DQ and VL compute them: float, and bf16 by emulation.
#if defined(__AVX512F__)
#  include "lib/backend/cpu/causal_attention.h"
#  include "lib/backend/cpu/decoder_attention.h"
#  include "lib/backend/cpu/decoder_elementwise.h"

namespace mtlora::backend::cpu {
namespace {

template <class T>
constexpr DecoderKernels<T> compiled_here() {
  return {causal_forward<T>,    causal_backward<T>,   decode<T>,         rotate<T>,
          pre_norm_forward<T>,  pre_norm_backward<T>, swiglu_forward<T>, swiglu_backward<T>,
          gelu_tanh_forward<T>, gelu_tanh_backward<T>};
}

}  // namespace

const DecoderKernels<float> float_decoder_avx512 = compiled_here<float>();
const DecoderKernels<Bf16> bf16_decoder_avx512 = compiled_here<Bf16>();

}  // namespace mtlora::backend::cpu
#endif
