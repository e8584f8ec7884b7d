#include "lib/backend/cpu/kernels.h"

#include "lib/backend/cpu/features.h"
#include "lib/core/error.h"

namespace mtlora::backend::cpu {

#if defined(__x86_64__)
template <>
const Kernels<float>& kernels() {
  return float_avx512;
}
template <>
const Kernels<Bf16>& kernels() {
  static const Kernels<Bf16> chosen = has_amx_bf16()      ? with_tiles(bf16_avx512bf16)
                                      : has_avx512_bf16() ? bf16_avx512bf16
                                                          : bf16_avx512;
  return chosen;
}
#else
template <>
const Kernels<float>& kernels() {
  fail("this program was built without the avx512 kernels");
}
template <>
const Kernels<Bf16>& kernels() {
  fail("this program was built without the avx512 kernels");
}
#endif

}  // namespace mtlora::backend::cpu
