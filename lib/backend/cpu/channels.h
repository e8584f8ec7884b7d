// Kernels that scale channels.
#pragma once

#include "lib/backend/cpu/channel_kernels.h"
#include "lib/backend/cpu/vector.h"

namespace mtlora::backend::cpu {
namespace {

template <class T>
void scale(const ScaleCall<T>& call) {
  for (int64_t row = 0; row < call.rows; ++row) {
    const T* x = call.x[row];
    const T* base = call.base ? call.base[row] : nullptr;
    T* y = call.y[row];
    over(call.width, [&](int64_t c, __mmask16 mask) {
      __m512 rest = call.shift ? load(call.shift + c, mask) : _mm512_setzero_ps();
      if (base) rest = _mm512_add_ps(rest, load(base + c, mask));
      store(y + c, _mm512_fmadd_ps(load(x + c, mask), load(call.scale + c, mask), rest), mask);
    });
  }
}

template <class T>
void sums(const ChannelSums<T>& call) {
  for (int64_t row = 0; row < call.rows; ++row) {
    const T* dy = call.dy[row];
    over(call.width, [&](int64_t c, __mmask16 mask) {
      const __m512 d = load(dy + c, mask);
      if (call.dscale)
        store(call.dscale + c,
              _mm512_fmadd_ps(d, load(call.x[row] + c, mask), load(call.dscale + c, mask)), mask);
      if (call.dshift) store(call.dshift + c, _mm512_add_ps(d, load(call.dshift + c, mask)), mask);
    });
  }
}

}  // namespace
}  // namespace mtlora::backend::cpu
