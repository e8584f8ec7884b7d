// Passes on a CUDA device: what is recorded gives what is not, and the numbers are the CPU's,
// dropout included.

#include "lib/train/device_pass.h"

#include "lib/train/evaluate.h"
#include "tests/train/any_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

bool skipped() {
  if (has_device()) return false;
  SUCCEED("skipped: there is no CUDA device");
  return true;
}

/// From here to its end models are put on the device; then, with false, on the CPU. An emulated
/// device records what LibTorch is asked for, and not what the CPU's own kernels do.
struct OnDevice : OnPath {
  explicit OnDevice(bool is_device = true) : OnPath({backend::Path::plain, is_device}) {
    backend::cuda::use_kernels(is_device || !is_emulated());
  }
  ~OnDevice() { backend::cuda::use_kernels(true); }
};

/// Every model whose work can be recorded.
std::string any_name() {
  return GENERATE(as<std::string>(), "bert-tiny", "bert-tiny-regression", "roberta-tiny",
                  "deberta-v3-tiny", "deberta-v2-c2p-tiny", "deberta-v2-p2c-tiny", "gpt2-tiny",
                  "llama-tiny-scaled");
}

}  // namespace

TEST_CASE("counts are rounded up by little", "[train]") {
  int64_t waste = 0, total = 0;
  for (int64_t n = 256; n < 4096; ++n) {
    const int64_t bucket = bucket_of(n);
    REQUIRE(bucket >= n);
    REQUIRE(16 * (bucket - n) < n);
    REQUIRE(bucket % 16 == 0);
    REQUIRE(bucket_of(bucket) == bucket);
    waste += bucket - n;
    total += n;
  }
  CHECK(static_cast<double>(waste) < 0.03 * static_cast<double>(total));
  CHECK(bucket_of(1) == 16);
}

TEST_CASE("a recorded pass gives the bits of one that is not", "[train][recorded]") {
  if (skipped()) return;
  const OnDevice guard;
  const auto name = any_name();
  const auto adapter = GENERATE(as<std::string>(), "full", "mtlora");
  CAPTURE(name, adapter);
  Training training(name, method(adapter, some_targets(name), 0.2), 4);
  std::vector<Tensor> tensors;
  for (const auto& p : training.trained.parameters) tensors.push_back(p.second);
  DevicePass recorded(*training.objective, tensors, {true, true}),
      direct(*training.objective, tensors, {true, false});
  for (uint64_t round = 0; round < 4; ++round) {  // first sight, recorded, replayed twice
    // the same sizes, other examples in other places
    const Batch batch = training.objective->collate(
        round % 2 == 0 ? items_until(4) : std::vector<Item>{{1, 4}, {0, 9}, {3, 1}, {2, 30}});
    const PassResult got = recorded.run(batch, 100 + round, 0.25);
    const Tensor loss = got.loss.cpu().clone(), flat = got.flat.cpu().clone();
    const PassResult want = direct.run(batch, 100 + round, 0.25);
    CAPTURE(round);
    CHECK(loss.item<float>() == want.loss.item<float>());
    CHECK(torch::equal(flat, want.flat.cpu()));
    CHECK(flat.abs().max().item<float>() > 0);
  }
  CHECK(recorded.recorded_sizes() == 1);
  CHECK(direct.recorded_sizes() == 0);
}

TEST_CASE("a training step on the device is the CPU's, dropout included", "[train][recorded]") {
  if (skipped()) return;
  const auto name = any_name();
  const auto adapter = GENERATE(as<std::string>(), "full", "lora");
  CAPTURE(name, adapter);
  const auto run = [&](bool is_device) {
    const OnDevice guard(is_device);
    Training training(name, method(adapter, some_targets(name), 0.2), 6);
    backend::ShardPool pool(1);
    TrainStep step(*training.objective, parameters_of(training.trained), pool, {.seed = 11});
    std::vector<Tensor> gradients;
    // accumulated, so that a recorded pass is added to another
    const StepReport report =
        step.gradients(3, {items_until(2), items_until(4, 2), items_until(6, 4)}, gradients);
    // and once more, by passes that are recorded now
    if (is_device) {
      std::vector<Tensor> again;
      step.gradients(3, {items_until(2), items_until(4, 2), items_until(6, 4)}, again);
      for (size_t i = 0; i < again.size(); ++i) CHECK(torch::equal(again[i], gradients[i]));
    }
    return std::pair{report.loss, by_name(training.trained, gradients)};
  };
  const auto [loss, got] = run(true);
  const auto [want_loss, want] = run(false);
  CHECK(loss == Approx(want_loss).epsilon(1e-5));
  double largest = 0;
  for (const auto& [tensor, gradient] : want)
    largest = std::max(largest, gradient.abs().max().item<double>());
  for (const auto& [tensor, gradient] : want) {
    // whose true value is 0: softmax does not feel a constant
    const bool is_rounding = gradient.abs().max().item<double>() < 1e-6 * largest;
    check_close(tensor, got.at(tensor), gradient, 1e-5,
                is_rounding ? std::optional(largest) : std::nullopt);
  }
}

TEST_CASE("a pass on a device is given what its adapters have prepared", "[train][recorded]") {
  struct Seen final : Objective {
    Seen(const Objective& of, const Tensor& watched) : inner(of), b(watched) {}
    const EncodedSet& set() const override { return inner.set(); }
    int64_t terms(int64_t index) const override { return inner.terms(index); }
    Batch collate(const std::vector<Item>& items) const override { return inner.collate(items); }
    Model& model() const override { return inner.model(); }
    Tensor loss(const Batch& batch, const Pass& pass) const override {
      count += pass.prepared && pass.prepared->of(b).defined();
      return inner.loss(batch, pass);
    }
    const Objective& inner;
    Tensor b;
    mutable int count = 0;
  };
  if (skipped()) return;
  const OnDevice guard;
  Training training("roberta-tiny", method("mtlora", {"query", "value"}), 4);
  Tensor b;
  for (const auto& p : training.trained.parameters)
    if (p.first.ends_with(".B")) b = p.second;
  REQUIRE(b.defined());
  const Seen objective(*training.objective, b);
  backend::ShardPool pool(1);
  TrainStep step(objective, parameters_of(training.trained), pool,
                 {.adapters = training.trained.set.get()});
  std::vector<Tensor> gradients;
  step.gradients(0, {items_until(4)}, gradients);
  CHECK(objective.count == 1);
}

TEST_CASE("a recorded evaluation gives the bits of one that is not", "[train][recorded]") {
  if (skipped()) return;
  const OnDevice guard;
  const auto name = any_name();
  CAPTURE(name);
  const Training training(name, method("mtlora", some_targets(name)), 9);
  auto* classifier = dynamic_cast<Classifier*>(training.model.get());
  auto* language_model = dynamic_cast<LanguageModel*>(training.model.get());
  const auto passes = [&](bool repeats) {
    return classifier ? recorded_evaluation(*classifier, repeats)
                      : recorded_evaluation(*language_model, repeats);
  };
  backend::ShardPool pool(1);
  const auto numbers = [&](RecordedPasses* by) {  // of two batches of 4 and one of 1
    const EvaluateOptions options{{.is_regression = has_one_output(name)}, 4, nullptr, by};
    if (classifier) return predict_logits(*classifier, training.set, pool, options);
    return torch::tensor(evaluate_texts(*language_model, training.set, pool, options).loss,
                         torch::kDouble);
  };
  const auto recorded = passes(true), direct = passes(false);
  Tensor before;
  for (int round = 0; round < 4; ++round) {  // first sight, recorded, replayed, of other weights
    CAPTURE(round);
    const torch::NoGradGuard no_grad;
    if (round == 3)
      for (const auto& [tensor, weight] : training.trained.parameters) weight.mul_(1.5);
    const Tensor got = numbers(recorded.get());
    CHECK(torch::equal(got, numbers(direct.get())));
    if (round > 0) CHECK(torch::equal(got, before) == (round < 3));
    before = got;
  }
  CHECK(recorded->recorded_sizes() >= 2);
  CHECK(direct->recorded_sizes() == 0);
  check_close("sizes that are not rounded", before, numbers(nullptr), 1e-5);
}

TEST_CASE("where memory runs out, all that is recorded is given up", "[train][recorded]") {
  if (skipped()) return;
  const OnDevice guard;
  const Training training("bert-tiny", method("mtlora", {"query", "value"}), 4);
  auto& model = dynamic_cast<Classifier&>(*training.model);
  const auto batch_of = [&](int64_t count) {
    return training.objective->collate(items_until(count));
  };
  bool is_full = false;
  RecordedPasses one(model, true, [&](const RecordedPasses::Given& given) {
    if (std::exchange(is_full, false)) TORCH_CHECK_WITH(OutOfMemoryError, false, "no room");
    return std::vector<Tensor>{given.share * 2};
  });
  const auto other = recorded_evaluation(model, true);

  is_full = true;
  CHECK_THROWS_AS(one.run(batch_of(4), 0, 1), c10::OutOfMemoryError);  // nothing to give up
  for (int time = 0; time < 2; ++time) other->run(batch_of(4), 0, 1);
  CHECK(other->recorded_sizes() == 1);
  is_full = true;
  CHECK(one.run(batch_of(3), 0, 3)[0].item<float>() == 6);
  for (int time = 0; time < 2; ++time) other->run(batch_of(4), 0, 1);
  CHECK(other->recorded_sizes() == 0);
}
