// A step whose numbers are looked at after the next was asked for, as on a device, is the step that
// waits for them: the same bits, a step that is not finite left out.

#include "lib/train/world.h"
#include "tests/models/golden_model.h"
#include "tests/support/agent.h"
#include "tests/train/random_example.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

constexpr int32_t kBadToken = 99;  // the last of the vocabulary; example 5 alone has it

EncodedSet examples() {
  Random random(7);
  std::vector<EncodedExample> all;
  for (int64_t i = 0; i < 8; ++i) {
    EncodedExample e = random_example(random, 3 + random.below(9), 0, 89, false);
    if (i == 5) e.ids.back() = kBadToken;
    e.label = static_cast<double>(random.below(3));
    all.push_back(e);
  }
  return EncodedSet(all);
}

/// Everything that steps leave, and what they report.
struct Left {
  std::vector<StepReport> reports;
  std::vector<std::pair<std::string, Tensor>> tensors;
};

/// Steps of two micro-batches, the third of them with example 5 where `is_bad`, whose outputs are
/// no numbers then. `world`: null, or the processes that make them together.
Left steps(bool late, double clip, bool is_bad, World* world = nullptr) {
  const EncodedSet set = examples();
  LoadedClassifier loaded = load_classifier(golden_path("bert-tiny"), {});
  AdapterOptions lora;
  lora.targets = {"query", "value"};
  lora.method = {"lora", {{"rank", 4}, {"dropout", 0.2}}};
  Trained trained = inject(*loaded.model, lora, 1, loaded.family->head);
  {
    const torch::NoGradGuard no_grad;
    for (const NamedTensor& t : named_tensors(*loaded.model))
      if (t.name == "bert.embeddings.word_embeddings.weight") t.tensor[kBadToken].fill_(NAN);
  }
  for (const Slot& slot : linear_slots(*loaded.model)) slot.linear->settle();
  const auto optimizer =
      make_optimizer({"adamw", {{"lr", 1e-2}, {"weight_decay", 0.1}}}, parameters_of(trained));
  backend::ShardPool pool(1);
  const LabelObjective objective(*loaded.model, set, {}, 0);
  TrainStep step(objective, parameters_of(trained), pool,
                 {.clip = clip,
                  .seed = 11,
                  .adapters = trained.set.get(),
                  .world = world,
                  .as_on_device = late});
  const auto batches = [&](int64_t i) {
    const int64_t last = is_bad && i == 2 ? 5 : 6;
    return Batches{{{i % 3, i}, {3, 1}}, {{last, 2}}};
  };
  Left left;
  for (int64_t i = 0; i < 6; ++i) {
    const Batches mine = batches(i), next = batches(i + 1);
    left.reports.push_back(
        step.run(i, mine, *optimizer, 0.5, BadStep::is_skipped, i < 5 ? &next : nullptr));
  }
  for (const NamedTensor& t : trained.tensors) left.tensors.emplace_back(t.name, t.tensor);
  for (const auto& state : optimizer->state()) left.tensors.push_back(state);
  return left;
}

void check_same(const Left& got, const Left& want, bool is_bad) {
  for (size_t i = 0; i < want.reports.size(); ++i) {
    CAPTURE(i);
    const StepReport &one = got.reports[i], &other = want.reports[i];
    CHECK(one.skipped == other.skipped);
    CHECK(one.skipped == (is_bad && i == 2));
    CHECK(one.examples == other.examples);
    CHECK(one.tokens == other.tokens);
    if (one.skipped) continue;
    CHECK(one.loss == other.loss);
    CHECK(one.gradient_norm == other.gradient_norm);
  }
  REQUIRE(got.tensors.size() == want.tensors.size());
  for (size_t i = 0; i < got.tensors.size(); ++i) {
    CAPTURE(got.tensors[i].first);
    CHECK(at::isfinite(got.tensors[i].second).all().item<bool>());
    CHECK(at::equal(got.tensors[i].second, want.tensors[i].second));
  }
}

}  // namespace

TEST_CASE("a step that is looked at late has the bits of one that is waited for",
          "[train][recorded]") {
  // an emulated device records what LibTorch is asked for, and not what the CPU's own kernels do
  const OnPath path({is_emulated() ? backend::Path::plain : backend::path(), false});
  const double clip = GENERATE(0.0, 0.3, 100.0);
  const bool is_bad = GENERATE(false, true);
  CAPTURE(clip, is_bad);
  check_same(steps(true, clip, is_bad), steps(false, clip, is_bad), is_bad);
}

TEST_CASE("so it is where several processes make it, whose sums are asked for beside the next step",
          "[train]") {
  const bool is_bad = GENERATE(false, true);
  CAPTURE(is_bad);
  Agent agent;
  const auto left = [&](bool late) {
    return agent.start<Left>(2, [&](const Rendezvous& place) {
      World world(place, 30);
      return steps(late, 0.3, is_bad, &world);
    });
  };
  const std::vector<Left> want = left(false), got = left(true);
  for (size_t rank = 0; rank < 2; ++rank) {
    CAPTURE(rank);
    check_same(got[rank], want[rank], is_bad);
  }
  check_same(got[1], got[0], is_bad);
}

TEST_CASE("methods say whether they act on steps by what they override", "[train]") {
  std::vector<std::string> acting;
  for (const AdapterMethod& method : adapter_methods())
    if (method.start(Json::object())->acts_on_steps()) acting.push_back(method.name);
  CHECK(acting == std::vector<std::string>{"adalora", "rm_lora", "xgblora", "mora"});
}
