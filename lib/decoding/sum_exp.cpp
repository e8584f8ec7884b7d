// exp: Cody and Waite's reduction x = n ln 2 + r and the polynomial of Cephes' expf (Moshier 1989),
// on plain loops of fixed length, which compilers turn into vector code. Compiled with -O3 and
// without contraction to fused operations, so that all clones give the same bits.
#include "lib/decoding/sum_exp.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#  define MTLORA_CLONES [[gnu::target_clones("avx512f", "avx2", "default")]]
#else
#  define MTLORA_CLONES
#endif

namespace mtlora::decoding {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr int kLanes = 16;

[[gnu::always_inline]] inline float fast_exp(float given) {
  const float x = given < -87.0f ? -87.0f : given;  // 2^n stays a normal number; NaN passes
  const float rounder = 12582912.0f;                // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504088896341f + rounder;
  const float n = shifted - rounder;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float e = p * (r * r) + r + 1.0f;
  return e * std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) + 127u) << 23);
}

[[gnu::always_inline]] inline float larger(float a, float b) {
  return a > b ? a : b;
}

[[gnu::always_inline]] inline float block_maximum(const float* x) {
  float m[kBlock / 2];
  for (int i = 0; i < kBlock / 2; ++i) m[i] = larger(x[i], x[i + kBlock / 2]);
  for (int width = kBlock / 4; width >= kLanes; width /= 2)
    for (int i = 0; i < width; ++i) m[i] = larger(m[i], m[i + width]);
  float most = m[0];
  for (int i = 1; i < kLanes; ++i) most = larger(m[i], most);
  return most;
}

[[gnu::always_inline]] inline double block_sum(const float* x, float shift) {
  float e[kBlock];
  for (int i = 0; i < kBlock; ++i) e[i] = fast_exp(x[i] - shift);
  for (int width = kBlock / 2; width >= kLanes; width /= 2)
    for (int i = 0; i < width; ++i) e[i] += e[i + width];
  double sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += static_cast<double>(e[i]);
  return sum;
}

[[gnu::always_inline]] inline void add_block(SumExp& all, const float* x, float& block_max) {
  block_max = block_maximum(x);
  if (block_max > all.max) {
    // exp(-inf) = 0 forgets what blocks of nothing but -inf added, and keeps a NaN
    all.sum *= std::exp(static_cast<double>(all.max) - static_cast<double>(block_max));
    all.max = block_max;
  }
  all.sum += block_sum(x, all.max == kLowest ? 0.0f : all.max);
}

}  // namespace

MTLORA_CLONES
SumExp sum_exp(std::span<const float> logits, std::span<float> block_max) {
  SumExp all{kLowest, 0};
  const size_t whole = logits.size() / kBlock;
  for (size_t b = 0; b < whole; ++b) add_block(all, logits.data() + b * kBlock, block_max[b]);
  if (const auto rest = logits.subspan(whole * kBlock); !rest.empty()) {
    float padded[kBlock];
    std::fill(std::copy(rest.begin(), rest.end(), padded), padded + kBlock, kLowest);
    add_block(all, padded, block_max[whole]);
  }
  return all;
}

float exp_not_positive(float x) {
  return fast_exp(x);
}

}  // namespace mtlora::decoding
