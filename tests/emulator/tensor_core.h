// The instructions of lib/backend/cuda/tensor_core.cuh on the CPU, element by element as the PTX
// ISA describes where a warp's lanes hold a matrix: "mma.m16n8k16" and "ldmatrix"; and "cp.async",
// whose copies are made when they are waited for, no earlier.
#pragma once

#include <cstdint>
#include <cstring>

#include "tests/emulator/cuda_bf16.h"

namespace mtlora::emulator {

/// Element `index` (0, 1) of two bfloat16 in one register.
inline float half_of(uint32_t bits, int index) {
  return __bfloat162float({static_cast<uint16_t>(index == 0 ? bits : bits >> 16)});
}

/// Lane l holds of a [16, 16], register r, the elements of row l / 4 + 8 (r % 2) and columns
/// 2 (l % 4) + 8 (r / 2) and the next; of b [16, 8], register r, column l / 4 and rows
/// 2 (l % 4) + 8 r and the next; of c [16, 8], at e, row l / 4 + 8 (e / 2), column 2 (l % 4) + e
/// % 2.
inline void multiply_add(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  struct {
    uint32_t a[4], b[2];
  } mine;
  std::memcpy(mine.a, a, sizeof a);
  std::memcpy(mine.b, b, sizeof b);
  const Given given = give(&mine, sizeof mine);
  const auto of = [&](int lane) -> const auto& {
    return *static_cast<const decltype(mine)*>(given(lane));
  };
  const int group = lane() / 4, place = lane() % 4;
  for (int quad = 0; quad < 4; ++quad) {
    const auto &rows = of(4 * group + quad), &first = of(8 * place + quad),
               &second = of(8 * place + 4 + quad);
    for (int k = 0; k < 4; ++k)  // places 2 quad + k % 2 + 8 (k / 2) of the sum
      for (int e = 0; e < 4; ++e)
        c[e] += half_of(rows.a[e / 2 + k / 2 * 2], k % 2) *
                half_of((e % 2 == 0 ? first : second).b[k / 2], k % 2);
  }
}

/// Four matrices [8, 8]; lanes 8 m .. 8 m + 7 name the rows of matrix m. Lane l gets of each row
/// l / 4, columns 2 (l % 4) and the next, or, `kTransposed`, rows 2 (l % 4) and the next of column
/// l / 4.
template <bool kTransposed>
void load_matrices(uint32_t (&result)[4], const void* row) {
  const Given given = give(&row, sizeof row);
  const int group = lane() / 4, place = lane() % 4;
  for (int m = 0; m < 4; ++m) {
    const auto element = [&](int at_row, int column) {
      const void* from;
      std::memcpy(&from, given(8 * m + at_row), sizeof from);
      if (reinterpret_cast<uintptr_t>(from) % 16 != 0) fault("a row that is not at 16 bytes");
      return static_cast<uint32_t>(static_cast<const __nv_bfloat16*>(from)[column].bits);
    };
    const int first = 2 * place, second = first + 1;
    const uint32_t low = kTransposed ? element(first, group) : element(group, first);
    const uint32_t high = kTransposed ? element(second, group) : element(group, second);
    result[m] = low | high << 16;
  }
}

inline void begin_copy(void* shared, const void* from) {
  for (const void* place : {static_cast<const void*>(shared), from})
    if (reinterpret_cast<uintptr_t>(place) % 16 != 0) fault("a copy that is not at 16 bytes");
  copy_later(shared, from, 16);
}

}  // namespace mtlora::emulator
