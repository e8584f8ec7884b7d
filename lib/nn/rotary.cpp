#include "lib/nn/rotary.h"

#include <cmath>
#include <numbers>
#include <vector>

namespace mtlora {
namespace {

// Llama 3.1's scaling: long wave lengths are stretched by `factor`, short ones kept, those between
// blended. transformers, _compute_llama3_parameters.
double llama3_scaled(double frequency, const RotaryOptions& o) {
  const double wave = 2 * std::numbers::pi / frequency;
  if (wave > o.original_positions / o.low_frequency_factor) return frequency / o.factor;
  if (wave < o.original_positions / o.high_frequency_factor) return frequency;
  const double smooth = (o.original_positions / wave - o.low_frequency_factor) /
                        (o.high_frequency_factor - o.low_frequency_factor);
  return (1 - smooth) * frequency / o.factor + smooth * frequency;
}

double frequency(int64_t i, int64_t head, const RotaryOptions& o) {
  const double plain = std::pow(o.base, -2.0 * static_cast<double>(i) / static_cast<double>(head));
  if (o.scaling == "linear") return plain / o.factor;
  if (o.scaling == "llama3") return llama3_scaled(plain, o);
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
