// The kernels of bf16 with products by matrix tiles: AMX_TILE and AMX_BF16 beside AVX512_BF16.
#if defined(__AMX_BF16__)
#  include "lib/backend/cpu/tile_attention.h"

namespace mtlora::backend::cpu {

Kernels<Bf16> with_tiles(Kernels<Bf16> kernels) {
  kernels.gemm = tile_gemm<Bf16>;
  kernels.gemm_float = tile_gemm<float>;
  kernels.attention_forward = tile_attention_forward;
  kernels.attention_backward = tile_attention_backward;
  return kernels;
}

}  // namespace mtlora::backend::cpu
#endif
