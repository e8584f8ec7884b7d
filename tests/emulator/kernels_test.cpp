// No kernel's result depends on the order in which blocks and threads run: not one waits too little
// for what another thread writes.
#include "lib/backend/decoder_ops.h"
#include "lib/backend/disentangled_ops.h"
#include "lib/backend/end_ops.h"
#include "lib/backend/optimizer_ops.h"
#include "tests/backend/compare.h"
#include "tests/emulator/block.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

/// In fp32 and in bfloat16: the same bits in both orders, of the output and of all gradients.
void check_order(const std::vector<Tensor>& inputs, const Operation& f) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    std::vector<Tensor> typed;
    for (const Tensor& x : inputs) typed.push_back(x.detach().to(type).requires_grad_());
    const auto forwards = output_and_gradients(typed, f);
    emulator::set_backwards(true);
    const auto backwards = output_and_gradients(typed, f);
    emulator::set_backwards(false);
    for (size_t i = 0; i < forwards.size(); ++i) {
      INFO("tensor " << i << " (0: output, then gradients), " << type);
      CHECK(at::isfinite(forwards[i]).all().item<bool>());
      CHECK(at::equal(forwards[i], backwards[i]));
    }
  }
}

const Packing some = packing_of({5, 70, 1, 33});  // 109 tokens: blocks of one warp and of four
const backend::Dropout dropout{0.1, 7, identities(112)};

}  // namespace

TEST_CASE("the CPU's tensors come to the emulated kernels", "[emulator]") {
  // Else every test of this program would be one of the CPU's own kernels.
  const int64_t before = emulator::grids_run();
  const Tensor qkv = normal({112, 192}, 1);
  backend::self_attention(qkv, some, {2, 0.2}, dropout);
  CHECK(emulator::grids_run() == before + 1);
  backend::self_attention(qkv.to(at::kBFloat16), some, {2, 0.2}, dropout);
  CHECK(emulator::grids_run() == before + 2);
  backend::self_attention(qkv.to(at::kDouble), some, {2, 0.2}, dropout);
  CHECK(emulator::grids_run() == before + 2);
}

TEST_CASE("attention does not depend on the order of threads", "[emulator]") {
  for (const int64_t head : {32, 64, 128}) {
    check_order({normal({112, 6 * head}, 1)}, [&](const std::vector<Tensor>& in) {
      return backend::self_attention(in[0], some, {2, 0.2}, dropout);
    });
    check_order({normal({112, 8 * head}, 2)}, [&](const std::vector<Tensor>& in) {
      return backend::causal_attention(in[0], some, {4, 2, 0.2}, dropout);
    });
  }
  const backend::Dropout of_queries{0.1, 7, identities(4)};
  check_order({normal({4, 64}, 3), normal({112, 128}, 4)}, [&](const std::vector<Tensor>& in) {
    return backend::pooled_attention(in[0], in[1], some, {2, 0.2}, of_queries);
  });
}

TEST_CASE("more sequences than a grid has are an error", "[emulator]") {
  const std::vector<int32_t> ones(65'535, 1);
  CHECK_THROWS_WITH(
      backend::self_attention(normal({65'535, 96}, 1), packing_of(ones), {1, 0.2}, {}),
      Catch::Contains("a batch of 65535 sequences") && Catch::Contains("train.batch_size"));
}

TEST_CASE("disentangled attention does not depend on the order of threads", "[emulator]") {
  auto row_of = std::make_shared<std::vector<int32_t>>();
  for (int32_t d = -69; d < 70; ++d) row_of->push_back(std::clamp(d, -20, 20) + 20);
  check_order({normal({112, 192}, 5), normal({41, 128}, 6)}, [&](const std::vector<Tensor>& in) {
    const backend::RelativePositions positions{in[1].narrow(1, 0, 64), in[1].narrow(1, 64, 64),
                                               row_of};
    return backend::disentangled_attention(in[0], positions, some, {2, 0.15}, dropout);
  });
}

TEST_CASE("decoding does not depend on the order of threads", "[emulator]") {
  const Packing prompts = packing_of({5, 300});
  const std::vector<int32_t> prompt_of_row{0, 1, 1}, ancestry{0, 2, 1, 0, 1, 2};
  for (const auto type : {at::kFloat, at::kBFloat16})
    for (const int64_t head : {16, 64, 128}) {
      const Tensor q = normal({3, 4 * head}, 16).to(type),
                   prompt_kv = normal({305, 4 * head}, 17).to(type),
                   step_kv = normal({2, 3, 4 * head}, 18).to(type);
      const auto decoded = [&](bool backwards) {
        emulator::set_backwards(backwards);
        const Tensor y = backend::decode_attention(
            q, {prompt_kv, prompts.offsets, prompt_of_row.data(), step_kv, ancestry.data(), 2, 2},
            {4, 2, 0.2});
        emulator::set_backwards(false);
        return y;
      };
      const int64_t before = emulator::grids_run();
      CHECK(at::equal(decoded(false), decoded(true)));
      CHECK(emulator::grids_run() == before + 2);
    }
}

TEST_CASE("norms do not depend on the order of threads", "[emulator]") {
  for (const int64_t width : {300, 304})  // in shared memory, in registers
    check_order(
        {normal({112, width}, 7), normal({112, width}, 8), normal({width}, 9), normal({width}, 10)},
        [](const std::vector<Tensor>& in) {
          const auto [into, around] =
              backend::dropout_add_norm(in[0], in[1], {in[2], in[3], 1e-5}, dropout);
          return at::cat({into, around});
        });
}

TEST_CASE("a model's ends do not depend on the order of threads", "[emulator]") {
  check_order({normal({300, 5}, 11)}, [](const std::vector<Tensor>& in) {
    return backend::cross_entropy(in[0], at::arange(300).remainder(5), 0.1).reshape({1, 1});
  });
  const auto embedded = [](bool backwards) {
    emulator::set_backwards(backwards);
    const Tensor y = backend::embed({{normal({112, 300}, 12), at::arange(112)},
                                     {normal({9, 300}, 13), at::arange(112).remainder(7), 2}},
                                    {normal({300}, 14), normal({300}, 15), 1e-5}, dropout);
    emulator::set_backwards(false);
    return y;
  };
  const int64_t before = emulator::grids_run();
  CHECK(at::equal(embedded(false), embedded(true)));
  CHECK(emulator::grids_run() == before + 2);
}

TEST_CASE("what moves the weights does not depend on the order of threads", "[emulator]") {
  const auto moved = [](bool backwards) {
    emulator::set_backwards(backwards);
    const std::vector<Tensor> grads{normal({5000}, 1)};
    backend::AdamWState state{{normal({5000}, 2)},
                              grads,
                              {normal({5000}, 3)},
                              {normal({5000}, 4).square()},
                              {at::full({}, 3.0)}};
    const backend::Verdict verdict = backend::judge(grads, at::full({}, 0.5, at::kDouble), 1);
    backend::fused_adamw(state, {0.01, 0.9, 0.99, 1e-8, 0.1}, verdict.skipped);
    emulator::set_backwards(false);
    return std::vector<Tensor>{state.params[0], state.exp_avg[0], state.exp_avg_sq[0],
                               state.steps[0],  verdict.numbers,  verdict.factor};
  };
  const int64_t before = emulator::grids_run();
  const auto forwards = moved(false), backwards = moved(true);
  CHECK(emulator::grids_run() == before + 8);
  for (size_t i = 0; i < forwards.size(); ++i) CHECK(at::equal(forwards[i], backwards[i]));
}
