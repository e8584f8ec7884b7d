#include "lib/train/device_pass.h"

#include <utility>

#include "lib/backend/optimizer_ops.h"

namespace mtlora {
namespace {

int64_t numbers_in(const std::vector<Tensor>& tensors) {
  int64_t numbers = 0;
  for (const Tensor& t : tensors) numbers += t.numel();
  return numbers;
}

}  // namespace

DevicePass::DevicePass(const Objective& objective, std::vector<Tensor> tensors,
                       DevicePassOptions options)
    : objective_(objective),
      tensors_(std::move(tensors)),
      options_(options),
      flat_(torch::zeros({numbers_in(tensors_)}, tensors_.at(0).detach().options())),
      passes_(objective.model(), options.repeats, [this](const RecordedPasses::Given& given) {
        const PassResult found = compute(given);
        return std::vector<Tensor>{found.loss, found.flat};
      }) {}

PassResult DevicePass::run(const Batch& batch, uint64_t key, double share) {
  const std::vector<Tensor> found = passes_.run(batch, key, share);
  return {found[0], found[1]};
}

PassResult DevicePass::compute(const RecordedPasses::Given& given) const {
  const torch::AutoGradMode with_gradients(true);
  const Batch& batch = given.batch;
  const Prepared prepared = options_.adapters ? options_.adapters->prepare() : Prepared();
  Pass pass{options_.training, 0, batch.rows, given.step_key};
  pass.prepared = &prepared;
  const Tensor loss = objective_.loss(batch, pass) * given.share;
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
