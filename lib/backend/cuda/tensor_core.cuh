// Products of bfloat16 matrices by a warp's tensor cores, summed in fp32: PTX's mma.m16n8k16,
// ldmatrix, which brings tiles of shared memory into the lanes, and cp.async, which fills those
// tiles (PTX ISA, "Warp Level Matrix Instructions" and "Asynchronous copy"). The tests put the same
// instructions for the CPU in their place.
#pragma once

#include "lib/backend/cuda/device.cuh"

#ifndef __CUDACC__
#  include <tensor_core.h>
#endif

namespace mtlora::backend::cuda {

#ifdef __CUDACC__
/// c += a b of a [16, 16], b [16, 8], c [16, 8]. Lane l holds of c, at e, row l / 4 + 8 (e / 2),
/// column 2 (l % 4) + e % 2.
__device__ inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#  define MTLORA_LDMATRIX(form)                                                       \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4" form " {%0, %1, %2, %3}, [%4];"      \
                 : "=r"(result[0]), "=r"(result[1]), "=r"(result[2]), "=r"(result[3]) \
                 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))          \
                 : "memory")
/// Four matrices [8, 8] whose rows lie in shared memory; lanes 8 m .. 8 m + 7 name the rows of
/// matrix m.
template <bool kTransposed>
__device__ void load_matrices(uint32_t (&result)[4], const Bf16* row) {
  if constexpr (kTransposed)
    MTLORA_LDMATRIX(".trans.shared.b16");
  else
    MTLORA_LDMATRIX(".shared.b16");
}
#  undef MTLORA_LDMATRIX

/// Begins to copy 16 bytes, at 16, into shared memory. A thread finds there what itself copied
/// after wait_for_copies(); what others did, after a barrier behind that.
__device__ inline void begin_copy(void* shared, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;"
               :
               : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(shared))), "l"(from)
               : "memory");
}
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_all;" : : : "memory");
}
#else
using emulator::begin_copy;
using emulator::load_matrices;
using emulator::multiply_add;
using emulator::wait_for_copies;
#endif

/// Two values in one register, the first in its low half.
__device__ inline uint32_t pair_of(float first, float second) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  return *reinterpret_cast<const uint32_t*>(&pair);
}

/// The same, and what is left of them, again rounded: together 16 bits of each.
__device__ inline void split_pair(float first, float second, uint32_t& pair, uint32_t& rest) {
  pair = pair_of(first, second);
  const float2 rounded = __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(&pair));
  rest = pair_of(first - rounded.x, second - rounded.y);
}

}  // namespace mtlora::backend::cuda
