#include "lib/train/device_pass.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "lib/backend/optimizer_ops.h"
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

}  // namespace

int64_t bucket_of(int64_t count) {
  const auto below = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count)));
  const int64_t step = std::max<int64_t>(16, below / 16);
  return (count + step - 1) / step * step;
}

// What one size of batch has on the device.
struct DevicePass::Place {
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
  PassResult recorded;
};

DevicePass::DevicePass(const Objective& objective, std::vector<Tensor> tensors,
                       DevicePassOptions options)
    : objective_(objective),
      tensors_(std::move(tensors)),
      device_(objective.device()),
      options_(options) {
  int64_t numbers = 0;
  for (const Tensor& t : tensors_) numbers += t.numel();
  flat_ = torch::zeros({numbers}, tensors_.at(0).detach().options());
}

DevicePass::~DevicePass() = default;

DevicePass::Place& DevicePass::place_of(const Batch& batch) {
  const BatchSize size = rounded(BatchSize::of(batch), objective_.model().longest());
  const Sizes sizes{size.tokens, size.longest, size.sequences, size.labels, size.targets};
  if (!places_.contains(sizes)) {
    make_room();
    places_.emplace(sizes, std::make_unique<Place>(size, device_));
  }
  Place& place = *places_.at(sizes);
  place.last_used = ++passes_;
  return place;
}

void DevicePass::make_room() {
  if (places_.size() < kMostRecorded) return;
  places_.erase(std::min_element(places_.begin(), places_.end(), [](const auto& a, const auto& b) {
    return a.second->last_used < b.second->last_used;
  }));
}

PassResult DevicePass::run(const Batch& batch, uint64_t key, double share) {
  try {
    return run_once(batch, key, share);
  } catch (const c10::OutOfMemoryError&) {
    if (recorded_sizes() == 0) throw;
  }
  // What recorded passes hold is theirs alone: passes that are not recorded cannot use it.
  log::warn(
      "the device's memory is too small for recorded steps: they are given up, which is slower");
  options_.repeats = false;
  places_.clear();
  backend::cuda::release_unused_memory();
  return run_once(batch, key, share);
}

int64_t DevicePass::recorded_sizes() const {
  return std::count_if(places_.begin(), places_.end(),
                       [](const auto& place) { return place.second->graph.has_value(); });
}

PassResult DevicePass::run_once(const Batch& batch, uint64_t key, double share) {
  Place& place = place_of(batch);
  place.fill(batch, key, share);
  // What is made at a first use, such as a library's work space, is not to be recorded; and a size
  // that comes once is not worth it.
  const bool is_new = std::exchange(place.is_new, false);
  if (!is_new && options_.repeats && !place.graph) record(place, batch);
  if (!place.graph) return compute(place);
  place.graph->replay();
  return place.recorded;
}

void DevicePass::record(Place& place, const Batch& batch) {
  place.graph.emplace();
  place.batch.hide_offsets();
  try {
    place.graph->capture(memory_, [&] { place.recorded = compute(place); });
  } catch (const c10::Error& e) {
    place.graph.reset();
    place.batch.fill(batch);
    options_.repeats = false;
    log::warn(fmt::format("this run's steps cannot be recorded as CUDA graphs, and are slower: {}",
                          e.what_without_backtrace()));
  }
}

PassResult DevicePass::compute(const Place& place) {
  const torch::AutoGradMode with_gradients(true);
  const Batch& batch = place.batch.batch();
  const Prepared prepared = options_.adapters ? options_.adapters->prepare() : Prepared();
  Pass pass{options_.training, 0, batch.rows, place.step_key};
  pass.prepared = &prepared;
  const Tensor loss = objective_.loss(batch, pass) * place.share;
  const auto slopes = torch::autograd::grad({loss}, tensors_, {}, /*retain_graph=*/false,
                                            /*create_graph=*/false, /*allow_unused=*/true);
  const torch::NoGradGuard no_grad;
  std::vector<Tensor> rows;
  for (size_t i = 0; i < tensors_.size(); ++i)
    rows.push_back((slopes[i].defined() ? slopes[i] : torch::zeros_like(tensors_[i])).contiguous());
  backend::put_together(rows, flat_);
  return {loss.detach(), flat_};
}

std::vector<Tensor> DevicePass::parts(const Tensor& flat) const {
  std::vector<Tensor> all;
  int64_t at = 0;
  for (const Tensor& t : tensors_) {
    all.push_back(flat.narrow(0, at, t.numel()).view(t.sizes()));
    at += t.numel();
  }
  return all;
}

}  // namespace mtlora
