#include "lib/train/recorded_passes.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "lib/core/log.h"

namespace mtlora {
namespace {

int64_t power_of_two(int64_t count) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(count)));
}

// The same operations, and the same sizes of matrices, for every batch of a bucket. `most`: the
// model takes no longer sequence.
BatchSize rounded(BatchSize size, int64_t most) {
  size.tokens = bucket_of(size.tokens);
  size.longest = std::min(most, std::max<int64_t>(64, power_of_two(size.longest)));
  if (size.targets > 0) size.targets = size.labels = std::max<int64_t>(64, bucket_of(size.targets));
  return size;
}

// Those of this thread: what one has recorded may be in the way of another.
std::vector<RecordedPasses*>& all() {
  static thread_local std::vector<RecordedPasses*> alive;
  return alive;
}

}  // namespace

int64_t bucket_of(int64_t count) {
  const auto below = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count)));
  const int64_t step = std::max<int64_t>(16, below / 16);
  return (count + step - 1) / step * step;
}

// What one size of batch has on the device.
struct RecordedPasses::Place {
  Place(const BatchSize& size, torch::Device device)
      : batch(size, device),
        numbers(torch::zeros({2}, torch::TensorOptions(torch::kLong).device(device))),
        step_key(numbers.narrow(0, 0, 1)),
        share(numbers.narrow(0, 1, 1).view(torch::kFloat)[0]) {}

  void fill(const Batch& from, uint64_t key, double by) {
    batch.fill(from);
    const Tensor host = staging(2, numbers.device());
    int64_t* words = host.data_ptr<int64_t>();
    const auto value = static_cast<float>(by);
    words[0] = static_cast<int64_t>(key);
    words[1] = 0;
    std::memcpy(words + 1, &value, sizeof value);
    numbers.copy_(host, /*non_blocking=*/true);
  }

  DeviceBatch batch;
  Tensor numbers;   // int64 [2]: the two below as they come from the CPU
  Tensor step_key;  // int64 [1]
  Tensor share;     // fp32 scalar
  bool is_new = true;
  int64_t last_used = 0;  // a count of passes
  std::optional<backend::cuda::Graph> graph;
  std::vector<Tensor> recorded;
};

RecordedPasses::RecordedPasses(Model& model, bool repeats, Work work)
    : device_(model.device()),
      longest_(model.longest()),
      repeats_(repeats),
      work_(std::move(work)) {
  all().push_back(this);
}

RecordedPasses::~RecordedPasses() {
  std::erase(all(), this);
}

RecordedPasses::Place& RecordedPasses::place_of(const Batch& batch) {
  const BatchSize size = rounded(BatchSize::of(batch), longest_);
  const Sizes sizes{size.tokens, size.longest, size.sequences, size.labels, size.targets};
  if (!places_.contains(sizes)) {
    make_room();
    places_.emplace(sizes, std::make_unique<Place>(size, device_));
  }
  Place& place = *places_.at(sizes);
  place.last_used = ++passes_;
  return place;
}

void RecordedPasses::make_room() {
  if (places_.size() < kMostRecorded) return;
  places_.erase(std::min_element(places_.begin(), places_.end(), [](const auto& a, const auto& b) {
    return a.second->last_used < b.second->last_used;
  }));
}

std::vector<Tensor> RecordedPasses::run(const Batch& batch, uint64_t key, double share) {
  try {
    return run_once(batch, key, share);
  } catch (const c10::OutOfMemoryError&) {
    const auto has_recorded = [](const RecordedPasses* p) { return p->recorded_sizes() > 0; };
    if (std::none_of(all().begin(), all().end(), has_recorded)) throw;
  }
  // What recorded passes hold is theirs alone: passes that are not recorded cannot use it.
  log::warn(
      "the device's memory is too small for recorded passes: they are given up, which is slower");
  for (RecordedPasses* passes : all()) passes->give_up();
  backend::cuda::release_unused_memory();
  return run_once(batch, key, share);
}

void RecordedPasses::give_up() {
  repeats_ = false;
  places_.clear();
}

int64_t RecordedPasses::recorded_sizes() const {
  return std::count_if(places_.begin(), places_.end(),
                       [](const auto& place) { return place.second->graph.has_value(); });
}

std::vector<Tensor> RecordedPasses::run_once(const Batch& batch, uint64_t key, double share) {
  Place& place = place_of(batch);
  place.fill(batch, key, share);
  // What is made at a first use, such as a library's work space, is not to be recorded; and a size
  // that comes once is not worth it.
  const bool is_new = std::exchange(place.is_new, false);
  if (!is_new && repeats_ && !place.graph) record(place, batch);
  if (!place.graph) return compute(place);
  place.graph->replay();
  return place.recorded;
}

void RecordedPasses::record(Place& place, const Batch& batch) {
  place.graph.emplace();
  place.batch.hide_offsets();
  try {
    place.graph->capture(memory_, [&] { place.recorded = compute(place); });
  } catch (const c10::Error& e) {
    place.graph.reset();
    place.batch.fill(batch);
    repeats_ = false;
    log::warn(fmt::format("this run's passes cannot be recorded as CUDA graphs, and are slower: {}",
                          e.what_without_backtrace()));
  }
}

std::vector<Tensor> RecordedPasses::compute(const Place& place) const {
  return work_({place.batch.batch(), place.step_key, place.share});
}

}  // namespace mtlora
