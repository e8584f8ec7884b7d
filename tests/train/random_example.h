// Made-up examples for tests of training.
#pragma once

#include "lib/core/random.h"
#include "lib/train/encoded.h"

namespace mtlora::test {

/// `length` ids of first … last, without a label. With halves, the later half is segment 1.
inline EncodedExample random_example(Random& random, size_t length, int32_t first, int32_t last,
                                     bool has_halves) {
  EncodedExample e{};
  const auto count = static_cast<uint64_t>(last - first + 1);
  for (size_t t = 0; t < length; ++t) {
    e.ids.push_back(first + static_cast<int32_t>(random.below(count)));
    e.segments.push_back(has_halves && t > length / 2);
  }
  return e;
}

}  // namespace mtlora::test
