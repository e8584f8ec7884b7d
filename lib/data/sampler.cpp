#include "lib/data/sampler.h"

#include <algorithm>
#include <numeric>

#include "lib/core/error.h"
#include "lib/core/random.h"

namespace mtlora {

Sampler::Sampler(int64_t examples, int64_t batch, uint64_t seed, Order order)
    : examples_(examples), batch_(batch), seed_(seed), order_(order) {
  if (examples <= 0 || batch <= 0)
    fail("cannot draw batches of {} from {} examples", batch, examples);
}

std::vector<Sampler::Draw> Sampler::batch(int64_t step) {
  if (step < 0) fail("there is no training step {}", step);
  const int64_t epoch = step / steps_per_epoch();
  if (indices_.empty()) {
    indices_.resize(static_cast<size_t>(examples_));
    std::iota(indices_.begin(), indices_.end(), int64_t{0});
  }
  if (order_ == Order::shuffled && epoch != epoch_) {
    const uint64_t key = combine(seed_, name_key("sample order"));
    indices_ = permutation(examples_, combine(key, static_cast<uint64_t>(epoch)));
    epoch_ = epoch;
  }
  const int64_t begin = step % steps_per_epoch() * batch_;
  std::vector<Draw> draws;
  for (int64_t at = begin; at < std::min(begin + batch_, examples_); ++at)
    draws.push_back({indices_[static_cast<size_t>(at)], at});
  return draws;
}

}  // namespace mtlora
