// Architecture: LibTorch's unstable names and our kernels are checked against the plain path before
// they are trusted.
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "lib/backend/decoder_ops.h"
#include "lib/backend/disentangled_ops.h"
#include "lib/backend/end_ops.h"
#include "lib/backend/kernel_call.h"
#include "lib/backend/on_cuda.h"
#include "lib/backend/optimizer_ops.h"
#include "lib/backend/plain.h"
#include "lib/core/log.h"

namespace mtlora::backend {
namespace {

/// Fixed numbers in [-1, 1]; no generator is touched.
Tensor numbers(at::IntArrayRef sizes, double seed, at::Device device = at::kCPU) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return at::sin(at::arange(count, at::kFloat).mul_(1.7).add_(seed)).reshape(sizes).to(device);
}

struct Case {
  Tensor x;       // [tokens, 96]
  Tensor weight;  // [96, 32]
  LowRank low_rank;
  Affine affine;
  Packing packing;
  Dropout dropout;
};

Case small_case(at::ScalarType type, at::Device device) {
  const int64_t tokens = 21;
  const Dropout dropout{0.1, 7, at::arange(tokens, at::TensorOptions(at::kLong).device(device))};
  LowRank low_rank{
      {numbers({6, 96}, 3, device)},
      {{0, 16, 0, 3, numbers({16, 3}, 4, device)}, {16, 32, 3, 6, numbers({16, 3}, 17, device)}},
      dropout,
      1.5};
  return {numbers({tokens, 96}, 1, device).to(type),
          numbers({32, 96}, 2, device).mul(0.2).to(type),
          low_rank,
          {numbers({32}, 5, device), numbers({32}, 6, device), 1e-12},
          {std::make_shared<std::vector<int32_t>>(std::vector<int32_t>{0, 1, 19}), 18},
          dropout};
}

/// The output of a chain of all operations and the gradient of its input.
std::vector<Tensor> results(const Case& c) {
  at::AutoGradMode graph(true);
  const Tensor x = c.x.detach().clone().requires_grad_();
  const Tensor a = self_attention(x, c.packing, {2, 0.25}, c.dropout);  // [tokens, 32]
  const Tensor b =
      backend::gelu(linear_low_rank(x, c.weight, c.affine.beta, c.low_rank));  // [tokens, 32]
  const auto [y, around] = dropout_add_norm(a, b, c.affine, c.dropout);
  const Dropout of_queries{c.dropout.p, c.dropout.key, c.dropout.rows.narrow(0, 0, 2)};
  const Tensor pooled =
      pooled_attention(y.narrow(0, 0, 2), x.narrow(1, 0, 64), c.packing, {2, 0.25}, of_queries);
  const Tensor target = numbers({2, 32}, 8, c.x.device()).to(y.scalar_type());
  const Tensor loss = (pooled * target).sum() +
                      (around * numbers({21, 32}, 9, c.x.device()).to(y.scalar_type())).sum();
  return {y.detach(), torch::autograd::grad({loss}, {x})[0]};
}

/// The row of each distance in sequences of up to `longest` tokens; far ones share rows, 9 in all.
std::shared_ptr<const std::vector<int32_t>> rows_of_distances(int32_t longest) {
  auto row_of = std::make_shared<std::vector<int32_t>>();
  for (int32_t d = 1 - longest; d < longest; ++d) row_of->push_back(std::clamp(d, -4, 4) + 4);
  return row_of;
}

/// The same of disentangled attention.
std::vector<Tensor> disentangled_results(const Case& c) {
  at::AutoGradMode graph(true);
  const Tensor x = c.x.detach().clone().requires_grad_();
  const Tensor rows = numbers({9, 64}, 14, c.x.device()).to(x.scalar_type()).requires_grad_();
  const RelativePositions positions{rows.narrow(1, 0, 32), rows.narrow(1, 32, 32),
                                    rows_of_distances(18)};
  const Tensor y = disentangled_attention(x, positions, c.packing, {2, 0.15}, c.dropout);
  const Dropout of_queries{c.dropout.p, c.dropout.key, c.dropout.rows.narrow(0, 0, 2)};
  const Tensor pooled = disentangled_pooled_attention(y.narrow(0, 0, 2), x.narrow(1, 0, 64),
                                                      positions, c.packing, {2, 0.15}, of_queries);
  const Tensor target = numbers({2, 32}, 15, c.x.device()).to(y.scalar_type());
  const Tensor loss =
      (pooled * target).sum() + (y * numbers({21, 32}, 16, c.x.device()).to(y.scalar_type())).sum();
  const auto gradients = torch::autograd::grad({loss}, {x, rows});
  return {y.detach(), pooled.detach(), gradients[0], gradients[1]};
}

/// What three rows of two prompts, one step ago and now, attend to with one key/value head of 16.
Tensor decoded(const Tensor& q, const Case& c) {
  const std::vector<int32_t> prompt_of_row{0, 1, 1}, ancestry{0, 2, 1, 0, 1, 2};
  const Tensor tokens = c.x.narrow(1, 64, 32);
  return decode_attention(q.narrow(0, 0, 3),
                          {tokens, c.packing.offsets, prompt_of_row.data(),
                           tokens.narrow(0, 0, 6).reshape({2, 3, 32}), ancestry.data(), 2, 2},
                          {4, 1, 0.25});
}

/// The same of the operations of decoders.
std::vector<Tensor> decoder_results(const Case& c) {
  at::AutoGradMode graph(true);
  const CausalShape shape{4, 1, 0.25};
  const Tensor x = c.x.detach().clone().requires_grad_(), gamma = numbers({64}, 10, c.x.device());
  const Tensor turned =
      rotate(x, at::arange(21, at::TensorOptions(at::kLong).device(c.x.device())),
             {numbers({21, 8}, 11, c.x.device()), numbers({21, 8}, 12, c.x.device())}, shape);
  const Tensor a = causal_attention(turned, c.packing, shape, c.dropout);  // [tokens, 64]
  const Normed first = add_rms_norm(a, x.narrow(1, 0, 64), gamma, 1e-5, c.dropout);
  const Normed second = add_layer_norm(swiglu(first.normed), gelu_tanh(a.narrow(1, 0, 32)),
                                       c.affine, c.dropout);  // [tokens, 32]
  const Tensor y = at::cat({second.normed, second.sum, rms_norm(first.sum, gamma, 1e-5)}, 1);
  const Tensor loss = (y * numbers({21, 128}, 13, c.x.device()).to(y.scalar_type())).sum();
  return {y.detach(), decoded(a.detach(), c), torch::autograd::grad({loss}, {x})[0]};
}

/// Each attention of heads as wide as models have, on a sequence long enough for matrix tiles and
/// for blocks of several warps: outputs and gradients.
std::vector<Tensor> wide_attention_results(at::ScalarType type, at::Device device) {
  at::AutoGradMode graph(true);
  const Packing packing{std::make_shared<std::vector<int32_t>>(std::vector<int32_t>{0, 70, 73}),
                        70};
  const Dropout dropout{0.1, 7, at::arange(73, at::TensorOptions(at::kLong).device(device))};
  const Tensor x = numbers({73, 256}, 21, device).to(type).requires_grad_();
  const Tensor rows = numbers({9, 128}, 22, device).to(type).requires_grad_();
  const RelativePositions positions{rows.narrow(1, 0, 64), rows.narrow(1, 64, 64),
                                    rows_of_distances(70)};
  std::vector<Tensor> all;
  const auto add = [&](const Tensor& y, const std::vector<Tensor>& inputs) {
    all.push_back(y.detach());
    const Tensor slope = numbers(y.sizes(), 23, device).to(type);
    for (const Tensor& gradient : torch::autograd::grad({y}, inputs, {slope}))
      all.push_back(gradient);
  };
  const Tensor one_head = x.narrow(1, 0, 192);
  add(self_attention(one_head, packing, {1, 0.125}, dropout), {x});
  add(causal_attention(x, packing, {2, 1, 0.125}, dropout), {x});
  add(disentangled_attention(one_head, positions, packing, {1, 0.07}, dropout), {x, rows});
  return all;
}

/// The same of a model's ends.
std::vector<Tensor> end_results(const Case& c) {
  at::AutoGradMode graph(true);
  const Tensor words = numbers({21, 32}, 18, c.x.device()).to(c.x.scalar_type());
  const Tensor rows = at::arange(21, at::TensorOptions(at::kLong).device(c.x.device()));
  const Tensor y = embed({{words, rows}, {words, rows % 20, 1}}, c.affine, c.dropout);
  const Tensor logits = y.narrow(1, 0, 4).detach().clone().requires_grad_();
  const Tensor loss = cross_entropy(logits, rows % 4, 0.1);
  return {y, loss.detach(), torch::autograd::grad({loss}, {logits})[0]};
}

/// What AdamW makes of two tensors whose gradients are clipped.
std::vector<Tensor> update_results(const Case& c) {
  const Tensor flat = numbers({26}, 19, c.x.device());
  const auto parts = [](const Tensor& x) {
    return std::vector<Tensor>{x.narrow(0, 0, 21), x.narrow(0, 21, 5)};
  };
  const Verdict verdict = judge({flat}, at::full({}, 0.5, at::kDouble), 1);
  scale_({flat}, verdict.factor);
  const Tensor params = numbers({26}, 20, c.x.device());
  const Tensor first = at::zeros({26}, params.options()), second = at::zeros_like(first);
  const Tensor steps = at::zeros({2}, params.options());
  fused_adamw({parts(params), parts(flat), parts(first), parts(second), {steps[0], steps[1]}},
              {0.1, 0.9, 0.999, 1e-8, 0.1}, verdict.skipped);
  return {verdict.numbers.to(at::kFloat), params, first, second, steps};
}

std::vector<Tensor> all_results(at::ScalarType type, at::Device device) {
  const Case c = small_case(type, device);
  std::vector<Tensor> list = results(c);
  for (const Tensor& x : decoder_results(c)) list.push_back(x);
  for (const Tensor& x : disentangled_results(c)) list.push_back(x);
  for (const Tensor& x : wide_attention_results(type, device)) list.push_back(x);
  for (const Tensor& x : end_results(c)) list.push_back(x);
  for (const Tensor& x : update_results(c)) list.push_back(x);
  return list;
}

bool agree(at::ScalarType type, at::Device device, double tolerance) {
  const Path before = path();
  const auto fast_results = all_results(type, device);
  use_path(Path::plain);
  const auto plain_results = all_results(type, at::kCPU);
  use_path(before);
  for (size_t i = 0; i < fast_results.size(); ++i) {
    const Tensor want = plain_results[i].to(at::kFloat);
    const double error =
        (fast_results[i].to(at::kCPU, at::kFloat) - want).abs().max().item<double>();
    if (!(error <= tolerance * want.abs().max().item<double>())) return false;  // also when NaN
  }
  return true;
}

bool agree(at::Device device, std::optional<at::ScalarType> only) {
  const auto is_wanted = [&](at::ScalarType type) { return only.value_or(type) == type; };
  return (!is_wanted(at::kFloat) || agree(at::kFloat, device, 1e-4)) &&
         (!is_wanted(at::kBFloat16) || agree(at::kBFloat16, device, 5e-2));
}

}  // namespace

bool self_test(at::Device device, std::optional<at::ScalarType> type) {
  if (device.is_cuda()) {
    if (!cuda::kernels_in_use() || agree(device, type)) return true;
    log::warn(
        "the CUDA kernels disagree with the plain operations on this device; continuing with "
        "LibTorch's own, which are slower");
    cuda::use_kernels(false);
    return false;
  }
  if (path() != Path::avx512 || agree(device, type)) return true;
  log::warn(
      "the avx512 kernels disagree with the plain operations on this machine; "
      "continuing on the plain path, which is slower");
  use_path(Path::plain);
  return false;
}

}  // namespace mtlora::backend
