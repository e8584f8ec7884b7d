// ZO-SGD (MeZO): θ ← θ - η (ĝ + wd·θ), ĝ = 1/q Σ c_i u_i, u_i ~ N(0, I). Malladi et al. 2023,
// arXiv:2305.17333; Zhang et al. 2024 (ZO-Bench), arXiv:2402.11592, section 3.

#include "lib/optim/zeroth_order.h"

namespace mtlora {

OptimizerEntry zo_sgd() {
  return zeroth_order<ZerothOrderOptions, GaussianOrder>(
      {"zo_sgd",
       "MeZO: descent by two losses along a random direction; takes the memory of evaluation.",
       "u ~ N(0, I), c = (F(θ + ε·u) - F(θ - ε·u)) / 2ε; θ ← θ - η·c·u",
       "Malladi et al. 2023, arXiv:2305.17333"});
}

}  // namespace mtlora
