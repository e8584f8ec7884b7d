// Passes on a CUDA device: what is recorded gives what is not, and the numbers are the CPU's,
// dropout included.

#include "lib/train/device_pass.h"

#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

/// Examples of 3 to 21 tokens below 100, labels 0 … 2.
EncodedSet examples(int64_t count) {
  Random random(7);
  std::vector<EncodedExample> all;
  for (int64_t i = 0; i < count; ++i) {
    const size_t length = 3 + random.below(19);
    EncodedExample e{{}, std::vector<int32_t>(length, 0), static_cast<double>(random.below(3))};
    for (size_t t = 0; t < length; ++t) e.ids.push_back(static_cast<int32_t>(random.below(100)));
    all.push_back(e);
  }
  return EncodedSet(all);
}

AdapterOptions method(const std::string& name) {
  AdapterOptions options;
  options.targets = {"query", "value", "*.encoder.layer.*.output.dense"};
  options.method = {name, name == "full" ? Json::object() : Json{{"dropout", 0.2}}};
  return options;
}

/// bert-tiny in training, with dropout everywhere.
struct Training {
  Training(const std::string& name, torch::Device device)
      : loaded(load_classifier(golden_path("bert-tiny"), {})),
        trained(inject(*loaded.model, method(name), 1, loaded.family->head)),
        set(examples(12)),
        objective(*loaded.model, set, {}, 0) {
    shake(trained);
    move_to(device, *loaded.model, trained);
    meet_bases(*loaded.model);
    for (const Slot& slot : linear_slots(*loaded.model)) slot.linear->settle();
  }

  LoadedClassifier loaded;
  Trained trained;
  EncodedSet set;
  LabelObjective objective;
};

bool skipped() {
  if (has_device() && !is_emulated()) return false;
  SUCCEED("skipped: there is no CUDA device");
  return true;
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

TEST_CASE("a recorded pass gives the bits of one that is not", "[train]") {
  if (skipped()) return;
  const auto name = GENERATE(as<std::string>(), "full", "lora", "mtlora", "dora");
  CAPTURE(name);
  Training training(name, torch::kCUDA);
  std::vector<Tensor> tensors;
  for (const auto& p : training.trained.parameters) tensors.push_back(p.second);
  DevicePass recorded(training.objective, tensors, {true, true}),
      direct(training.objective, tensors, {true, false});
  for (uint64_t round = 0; round < 4; ++round) {  // first sight, recorded, replayed twice
    // the same sizes after rounding, other examples
    const Batch batch = training.objective.collate(
        round % 2 == 0
            ? items_until(8)
            : std::vector<Item>{{1, 4}, {0, 9}, {3, 1}, {2, 2}, {5, 30}, {4, 7}, {7, 0}, {6, 3}});
    const PassResult got = recorded.run(batch, 100 + round, 0.25);
    const Tensor loss = got.loss.cpu(), flat = got.flat.cpu();
    const PassResult want = direct.run(batch, 100 + round, 0.25);
    CAPTURE(round);
    CHECK(loss.item<float>() == want.loss.item<float>());
    CHECK(torch::equal(flat, want.flat.cpu()));
    CHECK(flat.abs().max().item<float>() > 0);
  }
}

TEST_CASE("a training step on the device is the CPU's, dropout included", "[train]") {
  if (skipped()) return;
  const auto name = GENERATE(as<std::string>(), "full", "lora", "mtlora");
  CAPTURE(name);
  const auto run = [&](torch::Device device) {
    Training training(name, device);
    backend::ShardPool pool(1);
    TrainStep step(training.objective, parameters_of(training.trained), pool, {.seed = 11});
    std::vector<Tensor> gradients;
    // accumulated, so that a recorded pass is added to another
    const StepReport report =
        step.gradients(3, {items_until(4), items_until(8, 4), items_until(12, 8)}, gradients);
    // and once more, by passes that are recorded now
    if (device.is_cuda()) {
      std::vector<Tensor> again;
      step.gradients(3, {items_until(4), items_until(8, 4), items_until(12, 8)}, again);
      for (size_t i = 0; i < again.size(); ++i) CHECK(torch::equal(again[i], gradients[i]));
    }
    return std::pair{report.loss, by_name(training.trained, gradients)};
  };
  const auto [loss, got] = run(torch::kCUDA);
  const auto [want_loss, want] = run(torch::kCPU);
  CHECK(loss == Approx(want_loss).epsilon(1e-5));
  double largest = 0;
  for (const auto& [tensor, gradient] : want)
    largest = std::max(largest, gradient.abs().max().item<double>());
  for (const auto& [tensor, gradient] : want) {
    const bool is_rounding = tensor.ends_with("attention.self.key.bias");
    check_close(tensor, got.at(tensor), gradient, 1e-5,
                is_rounding ? std::optional(largest) : std::nullopt);
  }
}
