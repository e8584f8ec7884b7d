// The kernels as AVX-512 F, BW, DQ and VL compute them: float, and bf16 by emulation.
#if defined(__AVX512F__)
#  include "lib/backend/cpu/attention.h"
#  include "lib/backend/cpu/disentangled_attention.h"
#  include "lib/backend/cpu/elementwise.h"

namespace mtlora::backend::cpu {
namespace {

template <class T>
constexpr Kernels<T> compiled_here() {
  return {dropout<T>,
          norm_forward<T>,
          norm_backward<T>,
          gelu_forward<T>,
          gelu_backward<T>,
          attention_forward<T>,
          attention_backward<T>,
          disentangled_forward<T>,
          disentangled_backward<T>,
          pack<T, T>,
          pack<T, float>,
          gemm<T, T>,
          gemm<T, float>};
}

}  // namespace

const Kernels<float> float_avx512 = compiled_here<float>();
const Kernels<Bf16> bf16_avx512 = compiled_here<Bf16>();

}  // namespace mtlora::backend::cpu
#endif
