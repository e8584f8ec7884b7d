#include "lib/nn/rotary.h"

#include <cmath>
#include <vector>

namespace mtlora {
namespace {

double frequency(int64_t i, int64_t head, const RotaryOptions& o) {
  const double plain = std::pow(o.base, -2.0 * static_cast<double>(i) / static_cast<double>(head));
  if (o.scaling == "linear") return plain / o.factor;
  if (o.scaling == "llama3") return scaled_frequency(plain, o.llama3);
  return plain;
}

}  // namespace

backend::Rotary rotary_table(int64_t positions, int64_t head, const RotaryOptions& options) {
  // frequencies and products in fp32, as every implementation that models were trained with
  std::vector<float> frequencies;
  for (int64_t i = 0; i < head / 2; ++i)
    frequencies.push_back(static_cast<float>(frequency(i, head, options)));
  const torch::Tensor angles = torch::empty({positions, head / 2});
  float* at = angles.data_ptr<float>();
  for (int64_t p = 0; p < positions; ++p)
    for (const float each : frequencies) *at++ = static_cast<float>(p) * each;
  return {angles.cos(), angles.sin()};
}

}  // namespace mtlora
