// A low-rank change's factors as the products of a CUDA device take them. For the sources of this
// folder only.
#pragma once

#include "lib/backend/kernel_call.h"

namespace mtlora::backend::device {

/// The factors in the activations' type.
struct Factors {
  Tensor a;                          ///< [R, in]
  bool as_one = false;               ///< the parts' products are one
  Tensor b;                          ///< as_one: [outs, R], every part's b where its outputs and
                                     ///< ranks meet, zeros elsewhere; else one below the other
  int64_t first_out = 0;             ///< of b, as_one
  std::vector<LowRank::Part> parts;  ///< their b's are those of b

  /// y[:, the outputs of b], as_one
  Tensor outs(const Tensor& y) const { return y.narrow(1, first_out, b.size(0)); }
};

Factors factors_of(const LowRank& change, at::ScalarType type);

}  // namespace mtlora::backend::device
