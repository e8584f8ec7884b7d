// Which rank-one terms B_:i E_i A_i: of a model's changes are kept, by AdaLoRA's importance and its
// falling budget. Zhang et al. 2023, arXiv:2303.10512, sections 3.2 and 3.3; the details are those
// of the authors' loralib (RankAllocator). With g the clipped gradient of step t and p the value
// after it, for every entry p of A, B and E, while t < T − t_f:
//   I = |p g|;  Ī ← β1 Ī + (1−β1) I;  Ū ← β2 Ū + (1−β2) |I − Ī|;  s(p) = Ī Ū
//   S_i = s(E_i) + mean_j s(A_ij) + mean_j s(B_ji)
// Of b0 terms b(t) are kept: b0 until t_i, then ⌊b_T + (b0−b_T)(1 − (t−t_i)/(T−t_i−t_f))³⌋ at every
// step that ΔT divides, then (t > T − t_f) b_T at every step. With k = b0 − b(t), every E_i whose
// S_i is not above the k-th smallest becomes 0; its gradient and moments stay, so it may come back
// while importance is still counted.
#pragma once

#include <torch/types.h>

#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/adapter_set.h"

namespace mtlora {

/// How many terms are kept when. Steps are counted from 0.
struct BudgetSchedule {
  int64_t first, target;      ///< b0, b_T: terms of the whole model
  int64_t total_steps;        ///< T
  int64_t init_steps;         ///< t_i
  int64_t final_steps;        ///< t_f
  int64_t mask_interval = 1;  ///< ΔT

  /// b(t)
  int64_t budget(int64_t step) const;
  /// Whether terms are masked after a step.
  bool masks(int64_t step) const;
  /// Whether a step counts for the importance.
  bool counts(int64_t step) const { return step < total_steps - final_steps; }
};

/// The terms of one change: A [rank, in], B [out, rank], E [rank, 1].
struct Terms {
  std::string path;
  Tensor a, b, e;
};

class RankBudget {
 public:
  RankBudget(double beta1, double beta2) : beta1_(beta1), beta2_(beta2) {}

  /// Before training: the terms of one more change.
  void add(const Terms& terms);
  /// b0, the rank of all changes together, and how many changes there are.
  int64_t first() const;
  int64_t changes() const { return static_cast<int64_t>(terms_.size()); }

  /// After the update of a step; the gradients are those that it was made of. All defined.
  void after_update(const BudgetSchedule& schedule, int64_t step, const StepGradients& gradients);
  /// Ī and Ū of every tensor.
  std::vector<std::pair<std::string, Tensor>> state();

 private:
  struct Tracked {
    Tensor value;  // p
    Tensor sensitivity,
        uncertainty = {};  // Ī, Ū, of the same shape; beside it from their first use
  };
  struct Change {
    std::string path;
    Tracked a, b, e;
  };
  void begin();
  static Tensor score(const Tracked& of);
  void count(Tracked& of, const Tensor& gradient) const;
  void mask(int64_t dropped) const;

  double beta1_, beta2_;
  std::vector<Change> terms_;
};

}  // namespace mtlora
