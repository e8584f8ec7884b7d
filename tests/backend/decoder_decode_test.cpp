#include <random>

#include "lib/backend/decoder_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;
using backend::CausalShape;

namespace {

constexpr int64_t max_steps = 40;

/// A decoding step of `rows` beams over some prompts, with random ancestors.
struct Step {
  std::vector<int32_t> prompt_of_row, ancestry;
  Packing prompts;
  int64_t rows, steps;
  CausalShape shape;
  Tensor q, prompt_kv, step_kv;

  Step(const std::vector<int32_t>& prompt_lengths, std::vector<int32_t> row_prompts,
       int64_t steps_so_far, const CausalShape& of, int64_t head)
      : prompt_of_row(std::move(row_prompts)),
        prompts(packing_of(prompt_lengths)),
        rows(static_cast<int64_t>(prompt_of_row.size())),
        steps(steps_so_far),
        shape(of) {
    std::mt19937 random(7);
    for (int64_t i = 0; i < rows * max_steps; ++i)
      ancestry.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(rows)));
    const int64_t columns = 2 * shape.kv_heads * head, capacity = rows + 2;
    q = normal({rows, shape.heads * head}, 1);
    prompt_kv = normal({tokens_of(prompts), columns}, 2);
    step_kv = normal({steps + 1, capacity, columns}, 3);
    step_kv.select(0, steps).fill_(std::numeric_limits<float>::quiet_NaN());  // not yet there
  }

  Tensor attend(at::ScalarType type, at::Device device = at::kCPU) const {
    return backend::decode_attention(
        q.to(device, type),
        {prompt_kv.to(device, type), prompts.offsets, prompt_of_row.data(),
         step_kv.to(device, type), ancestry.data(), max_steps, steps},
        shape);
  }
};

std::vector<int32_t> beams(int32_t prompts, int32_t count) {
  std::vector<int32_t> rows;
  for (int32_t p = 0; p < prompts; ++p) rows.insert(rows.end(), static_cast<size_t>(count), p);
  return rows;
}

/// On the avx512 path and on the CUDA device, where there are such.
void check_against_plain(Step step) {
  if (!backend::has_avx512() && !has_device()) {
    SUCCEED("skipped: this CPU has no AVX-512, and there is no CUDA device");
    return;
  }
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (Tensor* x : {&step.q, &step.prompt_kv, &step.step_kv}) *x = x->to(type);
    Tensor want;
    {
      const PathGuard path(Path::plain);
      want = step.attend(at::kDouble);
    }
    const auto check = [&](const Tensor& got) {
      INFO(step.rows << " rows, " << step.steps << " steps");
      CHECK(got.scalar_type() == type);
      compare_results({got}, {want}, type);
    };
    if (backend::has_avx512() && !only_device()) {
      const PathGuard path(Path::avx512);
      check(step.attend(type));
    }
    if (has_device()) check(step.attend(type, the_device()));
  }
}

}  // namespace

TEST_CASE("decoding attention has the plain path's values", "[backend]") {
  const CausalShape smollm{9, 3, 0.125}, gpt2{4, 4, 0.2}, one{3, 1, 0.2};
  for (const int64_t steps : {1, 2, 15, 16, 17, 33, 40})
    check_against_plain({{60, 1, 33}, beams(3, 10), steps, smollm, 64});
  check_against_plain({{60, 1, 33}, beams(3, 10), 9, gpt2, 64});
  check_against_plain({{16, 70, 3}, beams(3, 1), 5, one, 128});
  check_against_plain({{300}, beams(1, 70), 12, gpt2, 32});
  check_against_plain({{20, 9}, beams(2, 18), 18, {7, 1, 0.2}, 80});
  check_against_plain({{5, 6, 7}, {2, 0, 1, 0, 0, 2}, 3, smollm, 16});  // in any order
  check_against_plain({{5, 0, 7}, beams(3, 2), 3, smollm, 32});         // nothing before this step
}

TEST_CASE("decoding attends to many keys", "[backend]") {
  const CausalShape shape{1, 1, 0.125};
  // A device's block has a float a key, and 225 besides where a head has 64 channels, in 48 KB of
  // shared memory that it gets unasked: those of 12,063 keys.
  for (const int64_t steps : {3, 4, 36, 37}) check_against_plain({{12'060}, {0}, steps, shape, 64});
  // The most that the device's kernel takes, and more.
  for (const int64_t steps : {10, 11}) check_against_plain({{19'990}, {0}, steps, shape, 64});
}

TEST_CASE("decoding heads of other sizes take the plain path", "[backend]") {
  check_against_plain({{5, 6}, beams(2, 3), 3, {4, 2, 0.2}, 20});
}

TEST_CASE("a decoding step is the last row of causal attention", "[backend]") {
  const CausalShape shape{6, 3, 0.2};
  const int64_t head = 32, width = shape.heads * head;
  for (const Path path : {Path::plain, backend::path()}) {
    const PathGuard guard(path);
    const Step step({21, 9}, {0, 0, 1, 1}, 5, shape, head);
    const Tensor got = step.attend(at::kFloat);
    for (int64_t r = 0; r < step.rows; ++r) {
      const int64_t prompt = step.prompt_of_row[static_cast<size_t>(r)];
      const int64_t begin = prompt ? 21 : 0, length = prompt ? 9 : 21;
      std::vector<Tensor> kv{step.prompt_kv.narrow(0, begin, length)};
      for (int64_t t = 0; t < step.steps; ++t)
        kv.push_back(
            step.step_kv[t].narrow(0, step.ancestry[static_cast<size_t>(r * max_steps + t)], 1));
      const Tensor keys = at::cat(kv), q = step.q.narrow(0, r, 1).expand({keys.size(0), width});
      const Tensor all = backend::causal_attention(
          at::cat({q, keys}, 1), packing_of({static_cast<int32_t>(keys.size(0))}), shape, {});
      CHECK(relative_error(got.narrow(0, r, 1),
                           all.narrow(0, keys.size(0) - 1, 1).to(at::kDouble)) <= 1e-6);
    }
  }
}

TEST_CASE("a row's decoding does not depend on its neighbours, and has no graph", "[backend]") {
  const Step step({21, 9}, beams(2, 10), 5, {9, 3, 0.125}, 64);
  const Tensor all = step.attend(at::kFloat);
  CHECK_FALSE(all.requires_grad());
  const int64_t r = 13;
  const Tensor one = backend::decode_attention(
      step.q.narrow(0, r, 1).clone().requires_grad_(),
      {step.prompt_kv, step.prompts.offsets, step.prompt_of_row.data() + r, step.step_kv,
       step.ancestry.data() + r * max_steps, max_steps, step.steps},
      step.shape);
  CHECK_FALSE(one.requires_grad());
  CHECK(at::equal(one, all.narrow(0, r, 1)));
}
