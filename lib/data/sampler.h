// The order of examples: a function of (seed, step), so a run that goes on at any step, on any
// number of processes, sees what an uninterrupted one would.
#pragma once

#include <cstdint>
#include <vector>

namespace mtlora {

class Sampler {
 public:
  enum class Order { shuffled, as_given };

  /// One example of a batch.
  struct Draw {
    int64_t index;  ///< in the data set
    int64_t
        position;  ///< in its epoch's order: 0 … examples - 1; with the step, the key of dropout
    bool operator==(const Draw&) const = default;
  };

  /// Epoch e goes through all `examples` once, in an order of its own that `seed` and e decide, in
  /// batches of `batch`; the last is smaller where they do not divide. Throws Error unless both
  /// are positive.
  Sampler(int64_t examples, int64_t batch, uint64_t seed, Order order);

  int64_t steps_per_epoch() const { return (examples_ + batch_ - 1) / batch_; }
  /// The examples of a step (from 0) of the whole run. Keeps the current epoch's order: not for
  /// several threads at once.
  std::vector<Draw> batch(int64_t step);

 private:
  int64_t examples_, batch_;
  uint64_t seed_;
  Order order_;
  int64_t epoch_ = -1;  // whose order `indices_` is
  std::vector<int64_t> indices_;
};

}  // namespace mtlora
