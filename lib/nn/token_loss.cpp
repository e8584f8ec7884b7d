#include "lib/nn/token_loss.h"

#include <algorithm>
#include <utility>

#include "lib/backend/ops.h"

namespace mtlora {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Logits held at once, in numbers: 16 MiB of fp32, or 128 MiB on a device.
constexpr int64_t kLogitsAtOnce = int64_t{4} << 20, kLogitsAtOnceOnDevice = int64_t{32} << 20;

// The targets of a few rows. Only a device's batches have filler among them, marked by -1.
struct Column {
  explicit Column(const Tensor& targets) : index(targets.unsqueeze(1)) {
    if (!backend::is_apart(targets.device())) return;
    counts = (index >= 0).to(at::kFloat);
    index = index.clamp_min(0);
  }
  Tensor counted(const Tensor& rows) const { return counts.defined() ? rows * counts : rows; }

  Tensor index;   // int64 [rows, 1]
  Tensor counts;  // fp32 [rows, 1], 0 for filler; undefined: there is none
};

// The loss of a few rows, a double.
Tensor loss_of(const Tensor& log_p, const Column& column, double smoothing) {
  const Tensor own =
      column.counted(log_p.gather(1, column.index)).sum(at::kDouble) * -(1 - smoothing);
  if (smoothing == 0) return own;
  return own -
         column.counted(log_p).sum(at::kDouble) * (smoothing / static_cast<double>(log_p.size(1)));
}

// The same, and d loss / d logits in place of the logits.
Tensor loss_and_slope(Tensor& logits, const Column& column, double smoothing) {
  const Tensor log_p = at::log_softmax(logits, -1);
  const auto vocab = static_cast<double>(logits.size(1));
  Tensor loss = loss_of(log_p, column, smoothing);
  logits = log_p.exp_();  // log_p is not needed any more
  if (smoothing > 0) logits.sub_(smoothing / vocab);
  logits.scatter_add_(1, column.index,
                      at::full_like(column.index, -(1 - smoothing), logits.options()));
  if (column.counts.defined()) logits.mul_(column.counts);
  return loss;
}

struct Slopes {
  Tensor loss;            // a double
  Tensor hidden, weight;  // undefined where not asked for
};

int64_t rows_at_once(const backend::Weight& head) {
  const int64_t at_once = head.tensor().is_cuda() ? kLogitsAtOnceOnDevice : kLogitsAtOnce;
  return std::max<int64_t>(1, at_once / head.tensor().size(0));
}

// Without a graph, by operations that carry derivatives forward (lib/backend/forward_mode.h).
Tensor only_loss(const Tensor& hidden, const backend::Weight& head, const Tensor& targets,
                 double smoothing) {
  Tensor loss = at::zeros({}, hidden.options().dtype(at::kDouble));
  const int64_t rows = rows_at_once(head);
  for (int64_t begin = 0; begin < hidden.size(0); begin += rows) {
    const int64_t count = std::min(rows, hidden.size(0) - begin);
    const Tensor logits = backend::linear(hidden.narrow(0, begin, count), head, {});
    const Tensor log_p = at::log_softmax(logits.to(at::kFloat), -1);
    loss = loss + loss_of(log_p, Column(targets.narrow(0, begin, count)), smoothing);
  }
  return loss.to(at::kFloat);
}

Slopes in_chunks(const Tensor& hidden, const backend::Weight& head, const Tensor& targets,
                 double smoothing, bool of_hidden, bool of_weight) {
  Slopes out;
  out.loss = at::zeros({}, hidden.options().dtype(at::kDouble));
  if (of_hidden) out.hidden = at::empty_like(hidden);
  if (of_weight) out.weight = at::zeros(head.tensor().sizes(), hidden.options().dtype(at::kFloat));
  const int64_t rows = rows_at_once(head);
  for (int64_t begin = 0; begin < hidden.size(0); begin += rows) {
    const int64_t count = std::min(rows, hidden.size(0) - begin);
    const torch::AutoGradMode graph(of_hidden || of_weight);
    const Tensor x = hidden.narrow(0, begin, count).detach().set_requires_grad(of_hidden);
    const Tensor logits = backend::linear(x, head, {});
    const torch::NoGradGuard no_grad;
    Tensor slope = logits.detach().to(at::kFloat);
    out.loss = out.loss + loss_and_slope(slope, Column(targets.narrow(0, begin, count)), smoothing);
    if (!of_hidden && !of_weight) continue;
    std::vector<Tensor> inputs;
    if (of_hidden) inputs.push_back(x);
    if (of_weight) inputs.push_back(head.tensor());
    const auto slopes = torch::autograd::grad({logits}, inputs, {slope.to(logits.scalar_type())});
    if (of_hidden) out.hidden.narrow(0, begin, count).copy_(slopes.front());
    if (of_weight) out.weight.add_(slopes.back());
  }
  return out;
}

// What is kept between forward and backward is the gradient itself, for an outer gradient of one.
struct TokenLoss : torch::autograd::Function<TokenLoss> {
  static Tensor forward(AutogradContext* ctx, const Tensor& hidden, const Tensor& weight,
                        const backend::Weight& head, const Tensor& targets, double smoothing) {
    const bool of_weight = weight.requires_grad();
    Slopes slopes = in_chunks(hidden, head, targets, smoothing, hidden.requires_grad(), of_weight);
    ctx->save_for_backward({slopes.hidden, slopes.weight});
    return slopes.loss.to(at::kFloat);
  }
  static tensor_list backward(AutogradContext* ctx, const tensor_list& outer) {
    const auto saved = ctx->get_saved_variables();
    const auto scaled = [&](const Tensor& slope) {
      // by the fp32 number: rounded to bf16 it would scale every gradient by up to 0.2 % too much
      return slope.defined() ? (slope.to(at::kFloat) * outer[0]).to(slope.scalar_type()) : Tensor();
    };
    return {scaled(saved[0]), scaled(saved[1]), {}, {}, {}};
  }
};

}  // namespace

Tensor token_loss(const Tensor& hidden, const backend::Weight& head, const Tensor& targets,
                  double label_smoothing) {
  if (!torch::GradMode::is_enabled()) return only_loss(hidden, head, targets, label_smoothing);
  return TokenLoss::apply(hidden, head.tensor(), head, targets, label_smoothing);
}

}  // namespace mtlora
