#include "lib/core/llama3_scaling.h"

#include <numbers>

namespace mtlora {

double scaled_frequency(double frequency, const Llama3Scaling& s) {
  const double wave = 2 * std::numbers::pi / frequency;
  if (wave > s.original_positions / s.low_frequency_factor) return frequency / s.factor;
  if (wave < s.original_positions / s.high_frequency_factor) return frequency;
  const double smooth = (s.original_positions / wave - s.low_frequency_factor) /
                        (s.high_frequency_factor - s.low_frequency_factor);
  return (1 - smooth) * frequency / s.factor + smooth * frequency;
}

}  // namespace mtlora
