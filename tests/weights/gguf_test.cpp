#include "lib/weights/gguf.h"

#include "tests/support/golden.h"
// LibTorch comes before Catch2: hence the order of these.
#include "lib/core/gguf_config.h"
#include "lib/weights/dequantize.h"
#include "tests/core/gguf_file.h"
#include "tests/text/hashing.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

torch::Tensor dequantized(const GgufTensor& tensor) {
  torch::Tensor values = torch::empty(tensor.shape);
  dequantize(*tensor.type, tensor.bytes, values.data_ptr<float>());
  return values;
}

std::string_view bytes_of(const torch::Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()};
}

// A Llama of one layer, two heads of two: each element of q is its row's number.
GgufBytes llama() {
  GgufBytes made;
  made.add("general.architecture", "llama").add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  for (const auto& [key, value] : {std::pair{"embedding_length", 8u},
                                   {"block_count", 1u},
                                   {"feed_forward_length", 4u},
                                   {"attention.head_count", 2u},
                                   {"attention.head_count_kv", 1u},
                                   {"context_length", 8u},
                                   {"vocab_size", 2u}})
    made.add(std::string("llama.") + key, value);
  return made;
}

std::string refusal(const GgufBytes& made) {
  const TempDir folder;
  write_file(folder / "a.gguf", made.bytes());
  return error_of([&] { open_weights(folder / "a.gguf"); });
}

}  // namespace

TEST_CASE("blocks of every type become the floats of gguf-py, bit for bit", "[weights]") {
  const GgufFile file(golden_path("gguf/types.gguf"));
  const auto want = golden("gguf/types.safetensors");
  REQUIRE(file.tensors().size() == 15);
  for (const GgufTensor& tensor : file.tensors()) {
    CAPTURE(tensor.name);
    CHECK(tensor.type->name == tensor.name);
    REQUIRE(can_dequantize(*tensor.type));
    CHECK(bytes_of(dequantized(tensor)) == bytes_of(want.at(tensor.name)));
  }
  CHECK(
      dequantizable_types() ==
      "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS");
}

TEST_CASE("every half becomes the float of the same value", "[weights]") {
  const torch::Tensor bits = torch::arange(65536).to(torch::kShort);
  const torch::Tensor halves = bits.view(torch::kHalf), want = halves.to(torch::kFloat);
  torch::Tensor got = torch::empty({65536});
  dequantize(*find_ggml_type(1), bytes_of(halves), got.data_ptr<float>());
  CHECK(torch::equal(got.isnan(), want.isnan()));
  CHECK(want.isnan().sum().item<int64_t>() == 2046);
  const torch::Tensor numbers = want.isnan().logical_not();
  CHECK(torch::equal(got.view(torch::kInt).index({numbers}),
                     want.view(torch::kInt).index({numbers})));
}

TEST_CASE("a Llama in a GGUF file has the tensors that transformers reads", "[weights]") {
  const auto file = open_weights(golden_path("gguf/llama.gguf"));
  auto want = golden("gguf/llama.safetensors");
  want.erase("ids");
  want.erase("logits");
  CHECK(want.size() == 21);
  CHECK(file->tensors().size() == want.size());
  for (const auto& [name, tensor] : want) {
    CAPTURE(name);
    REQUIRE(file->has(name));
    CHECK(file->read(name).sizes() == tensor.sizes());
    CHECK(file->read(name).scalar_type() == torch::kFloat);
    CHECK(bytes_of(file->read(name)) == bytes_of(tensor));
  }
  for (const auto& info : file->tensors()) CHECK(file->read(info.name).sizes() == info.shape);
}

TEST_CASE("SmolLM2 has the tensors that transformers reads, bit for bit", "[weights]") {
  const Json want = read_json(golden_path("gguf/smollm2.json"));
  const auto path = source_root() / "models/smollm2" / want["file"].get<std::string>();
  if (!available(path)) return;
  const auto file = open_weights(path);
  CHECK(want["crc32"].size() == 272);
  CHECK(file->tensors().size() == 272);
  CHECK_FALSE(file->has("lm_head.weight"));
  for (const auto& [name, crc] : want["crc32"].items()) {
    CAPTURE(name);
    Crc32 found;
    found.add(bytes_of(file->read(name)));
    CHECK(found.hex() == crc.get<std::string>());
  }
}

TEST_CASE("the bias of a query is reordered as its rows are", "[weights]") {
  const TempDir folder;
  const torch::Tensor numbers = torch::arange(8, torch::kFloat);
  GgufBytes made = llama();
  made.add_tensor("blk.0.attn_q.bias", {8}, 0, std::string(bytes_of(numbers)))
      .add_tensor("blk.0.attn_q.weight", {1, 8}, 0, std::string(bytes_of(numbers)))
      .add_tensor("blk.0.attn_v.weight", {1, 8}, 0, std::string(bytes_of(numbers)));
  for (const char* other : {"v", "output"})
    made.add_tensor(fmt::format("blk.0.attn_{}.bias", other), {8}, 0,
                    std::string(bytes_of(numbers)));
  made.add_tensor("blk.0.attn_k.bias", {4}, 0, std::string(bytes_of(numbers.slice(0, 0, 4))));
  write_file(folder / "a.gguf", made.bytes());
  const auto file = open_weights(folder / "a.gguf");
  const torch::Tensor want = torch::tensor({0.f, 2.f, 1.f, 3.f, 4.f, 6.f, 5.f, 7.f});
  CHECK(torch::equal(file->read("model.layers.0.self_attn.q_proj.bias"), want));
  CHECK(torch::equal(file->read("model.layers.0.self_attn.q_proj.weight").flatten(), want));
  CHECK(torch::equal(file->read("model.layers.0.self_attn.v_proj.weight").flatten(), numbers));
}

TEST_CASE("rotary divisors are no weight, and those behind them keep their places", "[weights]") {
  const TempDir folder;
  const torch::Tensor numbers = torch::arange(8, torch::kFloat);
  GgufBytes made = llama();
  made.add_tensor("rope_freqs.weight", {2}, 0, std::string(bytes_of(torch::ones({2}))))
      .add_tensor("output_norm.weight", {8}, 0, std::string(bytes_of(numbers)));
  write_file(folder / "a.gguf", made.bytes());
  const auto file = open_weights(folder / "a.gguf");
  CHECK(file->tensors().size() == 1);
  CHECK(torch::equal(file->read("model.norm.weight"), numbers));
}

TEST_CASE("tensors that a Llama cannot have are named together", "[weights]") {
  GgufBytes made = llama();
  const std::string block(256, '\0');
  made.add_tensor("blk.0.ffn_up.weight", {256}, 16, block.substr(0, 66))
      .add_tensor("blk.0.attn_qkv.weight", {1}, 0, block.substr(0, 4))
      .add_tensor("blk.00.attn_q.weight", {8, 8}, 0, block)
      .add_tensor("blk.", {1}, 0, block.substr(0, 4));
  CHECK_THAT(refusal(made), Contains("1 of its tensors, \"blk.0.ffn_up.weight\" the first, is "
                                     "IQ2_XXS") &&
                                Contains("\"blk.0.attn_qkv.weight\" belongs to no Llama") &&
                                Contains("\"blk.00.attn_q.weight\"") && Contains("\"blk.\""));
  CHECK_THAT(refusal(llama().add_tensor("blk.0.attn_k.weight", {8, 8}, 0, block)),
             Contains("\"blk.0.attn_k.weight\" of shape [8, 8], expected rows for 1 heads of 4"));
  GgufBytes other;
  CHECK_THAT(refusal(other.add("general.architecture", "qwen2")), Contains("\"qwen2\""));
  CHECK_THAT(error_of([] {
               const TempDir folder;
               write_file(folder / "a.gguf", "GGUF");
               open_weights(folder / "a.gguf");
             }),
             Contains("this is not a GGUF file"));
}
