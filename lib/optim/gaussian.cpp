#include "lib/optim/gaussian.h"

#include <algorithm>
#include <numbers>

#include "lib/backend/cpu/features.h"
#include "lib/backend/cpu/gaussian.h"
#include "lib/core/random.h"

namespace mtlora {
namespace {

using backend::cpu::GaussianCall;

// u in (0, 1], so that the logarithm is finite, and v in [0, 1) of every pair.
void fill_uniform(const GaussianCall& call, float* u, float* v) {
  constexpr int64_t lanes = backend::cpu::gaussian_lanes;
  const auto low = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto high = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto place = [&](int64_t pair, uint32_t a, uint32_t b) {
    if (pair >= call.pairs) return;
    u[pair] = (static_cast<float>(static_cast<int32_t>(a >> 1)) + 0.5F) * 0x1p-31F;
    v[pair] = static_cast<float>(b >> 8) * 0x1p-24F;
  };
  for (int64_t tile = 0; tile * 2 * lanes < call.pairs; ++tile)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const auto counter = static_cast<uint32_t>(tile * lanes + lane);
      const auto bits =
          philox({counter, 0, low(call.block), high(call.block)}, {low(call.key), high(call.key)});
      place(tile * 2 * lanes + lane, bits[0], bits[1]);
      place(tile * 2 * lanes + lane + lanes, bits[2], bits[3]);
    }
}

// What the kernel computes, by LibTorch's operations.
void plain(const GaussianCall& call) {
  const at::Tensor radius = at::empty({call.pairs}, at::kFloat), angle = at::empty_like(radius);
  fill_uniform(call, radius.data_ptr<float>(), angle.data_ptr<float>());
  radius.log_().mul_(-2).sqrt_();
  angle.mul_(2 * std::numbers::pi);
  at::from_blob(call.first, {call.pairs}, at::kFloat).copy_(angle.cos()).mul_(radius);
  at::from_blob(call.second, {call.pairs}, at::kFloat).copy_(angle.sin()).mul_(radius);
}

}  // namespace

at::Tensor gaussian_block(uint64_t key, int64_t block, int64_t count) {
  const int64_t pairs = (count + 1) / 2;
  const at::Tensor out = at::empty({2 * pairs}, at::kFloat);
  float* first = out.data_ptr<float>();
  const GaussianCall call{key, static_cast<uint64_t>(block), pairs, first, first + pairs};
  if (backend::path() == backend::Path::avx512)
    backend::cpu::gaussian_avx512(call);
  else
    plain(call);
  return out.narrow(0, 0, count);
}

at::Tensor gaussian(uint64_t key, at::IntArrayRef sizes) {
  const at::Tensor out = at::empty(sizes, at::kFloat);
  const at::Tensor flat = out.view({-1});
  for (int64_t begin = 0; begin < flat.numel(); begin += kGaussianBlock) {
    const int64_t count = std::min(kGaussianBlock, flat.numel() - begin);
    flat.narrow(0, begin, count).copy_(gaussian_block(key, begin / kGaussianBlock, count));
  }
  return out;
}

}  // namespace mtlora
