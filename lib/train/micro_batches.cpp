#include "lib/train/micro_batches.h"

#include <algorithm>

namespace mtlora {

std::vector<std::vector<Item>> micro_batches(Sampler& sampler, int64_t step, int64_t accumulate) {
  const int64_t per_epoch = sampler.steps_per_epoch();
  const int64_t steps_per_epoch = steps_of_epoch(per_epoch, accumulate);
  const int64_t epoch = step / steps_per_epoch, within = step % steps_per_epoch;
  int64_t micro = epoch * per_epoch + within * accumulate;
  const int64_t left = per_epoch - within * accumulate;
  std::vector<std::vector<Item>> all(static_cast<size_t>(std::min(accumulate, left)));
  for (auto& items : all)
    for (const Sampler::Draw& draw : sampler.batch(micro++))
      items.push_back({draw.index, draw.position});
  return all;
}

}  // namespace mtlora
