// Prompts are continued as transformers' generate() does, and by the cache as without one. See
// scripts/golden/generation.py.

#include "lib/generate/generate.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/models/golden_model.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

using Ids = std::vector<int32_t>;
using Prompts = std::vector<Ids>;

GeneratePlan greedy_plan(int64_t tokens) {
  GeneratePlan plan;
  plan.decoding.decoder = "greedy";
  plan.decoding.max_new_tokens = tokens;
  plan.decoding.no_repeat_ngram = 0;
  return plan;
}

Prompts run(LanguageModel& model, const Prompts& prompts, const GeneratePlan& plan,
            int threads = 1) {
  backend::ShardPool pool(threads);
  return generate(model, prompts, plan, pool);
}

/// The logits of all tokens of some sequences, without a cache: [tokens, vocab].
Tensor all_logits(LanguageModel& model, const Prompts& sequences) {
  const torch::NoGradGuard no_grad;
  std::vector<int64_t> ids, positions;
  auto offsets = std::make_shared<std::vector<int32_t>>(1, 0);
  backend::Packing packing;
  for (const Ids& sequence : sequences) {
    for (size_t t = 0; t < sequence.size(); ++t) {
      ids.push_back(sequence[t]);
      positions.push_back(static_cast<int64_t>(t));
    }
    offsets->push_back(static_cast<int32_t>(ids.size()));
    packing.longest = std::max(packing.longest, static_cast<int64_t>(sequence.size()));
  }
  packing.offsets = offsets;
  AttendWithin attend(packing);
  return model.logits(model.hidden(torch::tensor(ids, torch::kLong),
                                   torch::tensor(positions, torch::kLong), attend, {}));
}

/// One prompt decoded by running every row from its first token at each step.
Ids decoded_plainly(LanguageModel& model, const Ids& prompt, const GeneratePlan& plan) {
  const auto search = start_search(plan.decoding, plan.end, model.vocab_size(), 0, prompt);
  Prompts rows{prompt};
  while (true) {
    const Tensor logits = all_logits(model, rows).contiguous();
    std::vector<const float*> last;
    int64_t tokens = 0;
    for (const Ids& row : rows) {
      tokens += static_cast<int64_t>(row.size());
      last.push_back(logits.data_ptr<float>() + (tokens - 1) * logits.size(1));
    }
    search->step(last);
    if (search->done()) return search->result();
    Prompts next;
    for (size_t i = 0; i < search->next_tokens().size(); ++i) {
      next.push_back(rows[static_cast<size_t>(search->parents()[i])]);
      next.back().push_back(search->next_tokens()[i]);
    }
    rows = std::move(next);
  }
}

Ids some_ids(int64_t count) {
  Random random(combine(name_key("prompt"), static_cast<uint64_t>(count)));
  Ids ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(1 + random.below(95)));
  return ids;
}

/// Of unlike lengths, not in their order; two of them of one length.
Prompts some_prompts() {
  Prompts prompts;
  for (const int64_t count : {9, 1, 40, 2, 27, 3, 14, 5}) prompts.push_back(some_ids(count));
  prompts.push_back({1, 2, 3});
  return prompts;
}

GeneratePlan plan_of(const std::string& decoder) {
  GeneratePlan plan = greedy_plan(24);
  plan.decoding.decoder = decoder;
  plan.decoding.beams = 4;
  plan.decoding.no_repeat_ngram = 3;
  plan.end.ids = {0, 17, 40, 63};
  return plan;
}

std::vector<Ids> prompts_of(const Json& cases, const char* name) {
  return cases.at(name).get<std::vector<Ids>>();
}

const Json& generation_golden() {
  static const Json golden = read_json(golden_path("generation.json"));
  return golden;
}

}  // namespace

TEST_CASE("a trained GPT-2 sorts all 729 inputs of six digits", "[generate]") {
  const auto folder = shared("weights/gpt-nano-sort");
  if (!available(folder)) return;
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const auto loaded = load_language_model(folder, std::nullopt);
  Prompts inputs, sorted;
  for (int32_t number = 0; number < 729; ++number) {
    Ids digits;
    for (int32_t left = number; digits.size() < 6; left /= 3) digits.push_back(left % 3);
    inputs.push_back(digits);
    std::sort(digits.begin(), digits.end());
    sorted.push_back(digits);
  }
  const Prompts found = run(*loaded.model, inputs, greedy_plan(6));
  REQUIRE(found.size() == 729);
  size_t right = 0;
  for (size_t i = 0; i < found.size(); ++i) right += found[i] == sorted[i];
  CHECK(right == 729);
}

TEST_CASE("a trained Llama goes on as Hugging Face's does", "[generate]") {
  const auto folder = shared("weights/stories260K");
  if (!available(folder)) return;
  const auto path = GENERATE(from_range(all_paths()));
  CAPTURE(name_of(path));
  const OnPath guard(path);
  const auto loaded = load_language_model(folder, std::nullopt);
  const Json& want = generation_golden().at("stories260K");
  const Prompts prompts = prompts_of(want, "prompts");
  REQUIRE(prompts.size() == 6);
  SECTION("greedily") {
    const Prompts ids = prompts_of(want, "greedy");
    REQUIRE(ids.size() == 6);
    for (const Ids& each : ids) REQUIRE(each.size() == 200);
    CHECK(run(*loaded.model, prompts, greedy_plan(200)) == ids);
  }
  SECTION("by beam search") {
    GeneratePlan plan = greedy_plan(40);
    plan.decoding.decoder = "beam";
    plan.decoding.beams = 4;
    plan.decoding.length_penalty = 0.8;
    plan.decoding.no_repeat_ngram = 3;
    REQUIRE(want.at("beams").size() == 2);
    for (const Json& each : want.at("beams")) {
      plan.end.ids = {each.at("end").get<int32_t>()};
      CAPTURE(plan.end.ids);
      CHECK(run(*loaded.model, prompts, plan) == prompts_of(each, "ids"));
    }
  }
}

TEST_CASE("SmolLM2 from its GGUF file has Hugging Face's logits and greedy tokens", "[generate]") {
  const Json& want = generation_golden().at("smollm2");
  const auto file = source_root() / "models/smollm2" / want.at("file").get<std::string>();
  if (!available(file)) return;
  const auto loaded = load_language_model(file, std::nullopt);
  REQUIRE(want.at("cases").size() == 3);
  for (const auto path : all_paths()) {
    const OnPath guard(path);
    Prompts prompts, greedy;
    for (const Json& each : want.at("cases")) {
      CAPTURE(name_of(path), prompts.size());
      prompts.push_back(each.at("ids").get<Ids>());
      greedy.push_back(each.at("greedy").get<Ids>());
      REQUIRE(greedy.back().size() == 40);
      const auto count = static_cast<int64_t>(prompts.back().size());
      const Tensor logits = all_logits(*loaded.model, {prompts.back()});
      const auto [values, ids] = logits.topk(8, 1);
      for (int64_t t = 0; t < count; ++t) {
        const auto at = static_cast<size_t>(t);
        const Tensor wanted_ids =
            torch::tensor(each.at("top_ids").at(at).get<std::vector<int64_t>>(), torch::kLong);
        CHECK(torch::equal(ids[t], wanted_ids));
        check_close("top logits", logits[t].index_select(0, wanted_ids),
                    torch::tensor(each.at("top_logits").at(at).get<std::vector<double>>()), 1e-3,
                    1.0);
      }
      check_close("log of the sum of exp", logits.logsumexp(1),
                  torch::tensor(each.at("log_sum").get<std::vector<double>>()), 1e-3, 1.0);
    }
    CHECK(run(*loaded.model, prompts, greedy_plan(40)) == greedy);
  }
}

TEST_CASE("decoding with the cache is decoding without it", "[generate]") {
  const auto path = GENERATE(from_range(all_paths()));
  const auto name = GENERATE(as<std::string>(), "gpt2-tiny", "llama-tiny", "llama-tiny-scaled");
  const auto decoder = GENERATE(as<std::string>(), "greedy", "reference", "beam");
  CAPTURE(name, decoder, name_of(path));
  const OnPath guard(path);
  const auto loaded = load_language_model(golden_path(name), std::nullopt);
  GeneratePlan plan = plan_of(decoder);
  const Prompts prompts = some_prompts();
  Prompts want;
  backend::ShardPool(1).run([&](int) {
    for (const Ids& prompt : prompts) want.push_back(decoded_plainly(*loaded.model, prompt, plan));
  });
  // What is decoded together does not end together.
  const auto [shortest, longest] = std::minmax_element(
      want.begin(), want.end(), [](const Ids& a, const Ids& b) { return a.size() < b.size(); });
  CHECK(shortest->size() < longest->size());
  for (const int64_t batch_size : {1, 3, 8})
    for (const int threads : {1, 2}) {
      CAPTURE(batch_size, threads);
      plan.batch_size = batch_size;
      CHECK(run(*loaded.model, prompts, plan, threads) == want);
    }
}

TEST_CASE("what is sampled depends on the prompt alone", "[generate]") {
  const auto loaded = load_language_model(golden_path("llama-tiny"), std::nullopt);
  GeneratePlan plan = plan_of("sample");
  plan.batch_size = 1;
  Prompts prompts = some_prompts();
  Prompts want = run(*loaded.model, prompts, plan);
  REQUIRE(want.size() == 9);
  plan.batch_size = 3;
  CHECK(run(*loaded.model, prompts, plan, 2) == want);
  std::reverse(prompts.begin(), prompts.end());
  std::reverse(want.begin(), want.end());
  CHECK(run(*loaded.model, prompts, plan) == want);
  plan.decoding.seed = 1;
  CHECK(run(*loaded.model, prompts, plan) != want);
}

TEST_CASE("each answer is told once", "[generate]") {
  const auto loaded = load_language_model(golden_path("gpt2-tiny"), std::nullopt);
  GeneratePlan plan = plan_of("reference");
  plan.batch_size = 2;
  const Prompts prompts = some_prompts();
  backend::ShardPool pool(2);
  std::vector<Prompts> told(prompts.size());
  const Prompts all = generate(*loaded.model, prompts, plan, pool,
                               [&](size_t i, const Ids& ids) { told.at(i).push_back(ids); });
  REQUIRE(all.size() == 9);
  for (size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(told[i] == Prompts{all[i]});
  }
  CHECK(run(*loaded.model, {}, plan).empty());
}

TEST_CASE("a prompt must have tokens and leave room for the new ones", "[generate]") {
  const auto loaded = load_language_model(golden_path("llama-tiny"), std::nullopt);
  LanguageModel& model = *loaded.model;
  REQUIRE(model.longest() == 64);
  const GeneratePlan plan = greedy_plan(24);
  // The last token is written and not read: 41 + 23 are.
  const Ids longest = some_ids(41);
  CHECK(run(model, {{1}, longest}, plan).at(1) == decoded_plainly(model, longest, plan));
  CHECK_THROWS_WITH(run(model, {{1}, some_ids(42)}, plan),
                    Catch::Contains("prompt 1 (counted from 0): it has 42 tokens") &&
                        Catch::Contains("64") && Catch::Contains("generate.max_new_tokens"));
  CHECK_THROWS_AS(run(model, {{1}, some_ids(42)}, plan), Error);
  CHECK_THROWS_WITH(run(model, {{1}, {2}, {}}, plan),
                    "prompt 2 (counted from 0): it has no tokens");
  CHECK_THROWS_AS(run(model, {{}}, plan), Error);
}
