#include "lib/train/world.h"

#include "lib/backend/cuda/runtime.h"
#include "lib/backend/process_group.h"
#include "lib/train/broken_run.h"

namespace mtlora {

World::World() = default;
World::~World() = default;

World::World(const Rendezvous& place, double timeout_seconds)
    : place_(place), timeout_seconds_(timeout_seconds) {
  if (place.size == 1) return;
  group_ = std::make_unique<backend::ProcessGroup>(place, timeout_seconds);
  sums_by_ = "gloo";
}

void World::use_device(torch::Device device) {
  if (!group_ || !device.is_cuda()) return;
  std::string why_not;
  together([&] { why_not = group_->use_devices(device.index()); });
  sums_by_ = why_not.empty() ? "NCCL" : "gloo: " + why_not;
}

bool World::sums_on_devices() const {
  return group_ && group_->sums_on_devices();
}

void World::explain(const backend::PeerFailure& failure) const {
  std::string why;
  const std::string who = fmt::format("rank{} {} of {}", failure.ranks.size() > 1 ? "s" : "",
                                      fmt::join(failure.ranks, ", "), size());
  if (failure.ranks.empty())
    why = fmt::format("rank {} of {}: the others cannot be reached: {}", rank(), size(),
                      failure.message);
  else if (failure.is_gone)
    why = fmt::format("{} ended: {}", who, failure.message);
  else
    why = fmt::format("{} did not answer within {:.0f} s (train.timeout_seconds)", who,
                      timeout_seconds_);
  throw BrokenRun(why, "--resume continues from it, on any number of processes");
}

template <class Work>
void World::together(Work&& work) const {
  try {
    work();
  } catch (const backend::PeerFailure& failure) {
    explain(failure);
  }
}

void World::sum(const torch::Tensor& tensor) {
  if (group_) together([&] { group_->sum(tensor); });
}

void World::sum(const std::vector<torch::Tensor>& tensors) {
  if (!group_) return;
  if (sums_on_devices() && tensors.at(0).is_cuda()) {
    sum_later(tensors);
    backend::cuda::Moment().wait();
    return check_later_sums();
  }
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> flat;
  for (const torch::Tensor& t : tensors) flat.push_back(t.reshape(-1));
  const torch::Tensor all = torch::cat(flat).cpu();  // gloo sums what the CPU has
  sum(all);
  int64_t at = 0;
  for (const torch::Tensor& t : tensors) {
    t.copy_(all.narrow(0, at, t.numel()).view(t.sizes()));
    at += t.numel();
  }
}

void World::sum_later(const std::vector<torch::Tensor>& tensors) {
  if (sums_on_devices()) return together([&] { group_->sum_later(tensors); });
  for (const torch::Tensor& t : tensors) sum(t);
}

void World::check_later_sums() {
  if (sums_on_devices()) together([&] { group_->check_later_sums(); });
}

void World::sum(std::span<double> numbers) {
  if (!group_) return;
  const torch::Tensor all =
      torch::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, torch::kDouble);
  sum(all);
}

int World::largest(int number) {
  int64_t result = number;
  if (group_) together([&] { result = group_->largest(number); });
  return static_cast<int>(result);
}

void World::report_failure(const std::string& message) {
  if (group_) group_->report_failure(message);
}

}  // namespace mtlora
