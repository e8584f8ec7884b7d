#include "lib/core/gguf_config.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/core/gguf_file.h"
#include "tests/support/paths.h"

namespace mtlora {
namespace {

using Catch::Contains;
using test::GgufBytes;

Json config_of(const GgufBytes& made) {
  const test::TempDir folder;
  write_file(folder / "a.gguf", made.bytes());
  return gguf_model_config(folder / "a.gguf");
}

// What every Llama says, without `lacking`.
GgufBytes llama(const std::string& lacking = "") {
  GgufBytes made;
  made.add("general.architecture", "llama").add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  for (const auto& [key, value] : {std::pair{"embedding_length", 32u},
                                   {"block_count", 2u},
                                   {"feed_forward_length", 64u},
                                   {"attention.head_count", 4u},
                                   {"context_length", 128u},
                                   {"vocab_size", 7u}})
    if (key != lacking) made.add(std::string("llama.") + key, value);
  return made;
}

}  // namespace

TEST_CASE("the model of a folder is its only GGUF file, unless it has a config.json", "[core]") {
  const test::TempDir folder;
  CHECK(model_place(folder.path()) == folder.path());
  write_file(folder / "b.gguf", "");
  CHECK(model_place(folder.path()) == folder / "b.gguf");
  CHECK(model_place(folder / "b.gguf") == folder / "b.gguf");
  write_file(folder / "a.gguf", "");
  CHECK(model_place(folder.path()) == folder.path());
  CHECK(choice_of_gguf(gguf_files(folder.path())) ==
        "2 GGUF files: a.gguf, b.gguf; name one of them");
  std::filesystem::remove(folder / "a.gguf");
  write_file(folder / "config.json", "{}");
  CHECK(model_place(folder.path()) == folder.path());
  CHECK(model_place("/nowhere") == "/nowhere");
}

TEST_CASE("SmolLM2's configuration is the one that transformers reads", "[core]") {
  const auto file = test::source_root() / "models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!test::available(file)) return;
  CHECK(is_gguf(file));
  const Json config = gguf_model_config(file);
  CHECK(config == Json{{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"vocab_size", 49152},
                       {"hidden_size", 576},
                       {"intermediate_size", 1536},
                       {"num_hidden_layers", 30},
                       {"num_attention_heads", 9},
                       {"num_key_value_heads", 3},
                       {"head_dim", 64},
                       {"max_position_embeddings", 8192},
                       {"hidden_act", "silu"},
                       {"rms_norm_eps", 9.999999747378752e-06},
                       {"rope_theta", 100000.0},
                       {"rope_scaling", nullptr},
                       {"attention_bias", false},
                       {"mlp_bias", false},
                       {"tie_word_embeddings", true},
                       {"bos_token_id", 1},
                       {"eos_token_id", 2},
                       {"pad_token_id", 2}});
}

TEST_CASE("what a GGUF file leaves out has llama.cpp's default", "[core]") {
  const Json config = config_of(llama());
  CHECK(config["num_key_value_heads"] == 4);
  CHECK(config["head_dim"] == 8);
  CHECK(config["rope_theta"] == 10000.0);
  CHECK(config["rope_scaling"].is_null());
  CHECK(config["bos_token_id"].is_null());
  CHECK(config["tie_word_embeddings"] == true);
}

TEST_CASE("a turn's end is an end of texts beside the other", "[core]") {
  const auto ends = [](std::initializer_list<std::pair<const char*, uint32_t>> ids) {
    GgufBytes made = llama();
    for (const auto& [role, id] : ids)
      made.add(fmt::format("tokenizer.ggml.{}_token_id", role), id);
    return config_of(made)["eos_token_id"];
  };
  CHECK(ends({{"eos", 5}}) == 5);
  CHECK(ends({{"eos", 5}, {"eot", 5}}) == 5);
  CHECK(ends({{"eos", 5}, {"eot", 6}}) == Json{5, 6});
  CHECK(ends({{"eot", 6}}) == 6);
}

TEST_CASE("the tensors of a GGUF file say whether there are biases and an own output", "[core]") {
  GgufBytes made = llama("vocab_size");
  const std::string row(32, '\0');
  made.add_tensor("token_embd.weight", {2, 4}, 0, row).add_tensor("output.weight", {2, 4}, 0, row);
  CHECK(config_of(made)["tie_word_embeddings"] == false);
  CHECK(config_of(made)["vocab_size"] == 4);
  CHECK(config_of(made)["attention_bias"] == false);
  for (const char* part : {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_gate"})
    made.add_tensor(fmt::format("blk.0.{}.bias", part), {8}, 0, row);
  CHECK_THROWS_WITH(config_of(made), Contains("biases on ffn_gate, ffn_up, but none on ffn_down"));
  made.add_tensor("blk.0.ffn_down.bias", {8}, 0, row);
  CHECK(config_of(made)["attention_bias"] == true);
  CHECK(config_of(made)["mlp_bias"] == true);
}

TEST_CASE("scaled rotary embeddings are told as transformers tells them", "[core]") {
  CHECK(config_of(llama().add("llama.rope.scaling.type", "none"))["rope_scaling"].is_null());
  CHECK(config_of(llama()
                      .add("llama.rope.scaling.type", "linear")
                      .add("llama.rope.scaling.factor", 2.f))["rope_scaling"] ==
        Json{{"rope_type", "linear"}, {"factor", 2.0}});
  CHECK(config_of(llama().add("llama.rope.scale_linear", 4.f))["rope_scaling"] ==
        Json{{"rope_type", "linear"}, {"factor", 4.0}});
  for (const char* type : {"yarn", "longrope"})
    CHECK_THROWS_WITH(
        config_of(
            llama().add("llama.rope.scaling.type", type).add("llama.rope.scaling.factor", 2.f)),
        Contains(fmt::format("\"{}\" is not implemented", type)));
}

TEST_CASE("the rotary divisors of a Llama 3.2 are told as its own config tells them", "[core]") {
  // What llama.cpp's convert_hf_to_gguf.py wrote for heads of 16, base 500000 and a factor of 32.
  const std::vector<float> written = {1, 1, 1, 1, 3.2922628f, 32, 32, 32};
  const auto with = [](std::vector<float> divisors, uint32_t type = 0) {
    GgufBytes made = llama("attention.head_count");
    made.add("llama.attention.head_count", 2u).add("llama.rope.freq_base", 500000.f);
    return made.add_tensor("rope_freqs.weight", {divisors.size() * (type == 0 ? 1 : 2)}, type,
                           {reinterpret_cast<const char*>(divisors.data()), divisors.size() * 4});
  };
  CHECK(config_of(with(written))["rope_scaling"] ==
        Json{{"rope_type", "llama3"},
             {"factor", 32.0},
             {"low_freq_factor", 1.0},
             {"high_freq_factor", 4.0},
             {"original_max_position_embeddings", 8192}});
  const auto refusal = [&](const GgufBytes& made) {
    CHECK_THROWS_WITH(config_of(made), Contains("a.gguf: ") && Contains("\"rope_freqs.weight\""));
    try {
      config_of(made);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK_THAT(refusal(with({1, 1, 1, 1, 3, 32, 32, 32})),
             Contains("its number 4 is 3, Llama 3.1's rotary scaling by 32 makes it 3.29"));
  CHECK_THAT(refusal(with({1, 1, 32})), Contains("3 numbers, but a head has 8 frequencies"));
  CHECK_THAT(refusal(with({0, 0, 0, 0, 0, 0, 0, 0})), Contains("ends with 0"));
  CHECK_THAT(refusal(with(written, 1)), Contains("F32 is wanted, not F16"));
  CHECK_THAT(refusal(with(written).add("llama.rope.scale_linear", 4.f)), Contains("together"));
}

TEST_CASE("a model that a config of Llama cannot say is refused", "[core]") {
  const auto refused = [](const GgufBytes& made) {
    try {
      config_of(made);
    } catch (const Error& e) {
      CHECK_THAT(e.what(), Contains("a.gguf: "));
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(refused(llama()).empty());
  CHECK_THAT(refused(GgufBytes()), Contains("lacks the metadata \"general.architecture\""));
  CHECK_THAT(refused(GgufBytes().add("general.architecture", "gemma")),
             Contains("the architecture \"gemma\" is not implemented (only llama)"));
  for (const char* key : {"embedding_length", "block_count", "feed_forward_length",
                          "attention.head_count", "context_length", "vocab_size"})
    CHECK_THAT(refused(llama(key)), Contains(std::string("lacks the metadata \"llama.") + key));
  CHECK_THAT(refused(llama("block_count").add("llama.block_count", 0u)), Contains("0 is not in"));
  CHECK_THAT(refused(llama("block_count").add("llama.block_count", ~0u)), Contains("is not in 1"));
  CHECK_THAT(refused(llama("attention.head_count").add("llama.attention.head_count", 5u)),
             Contains("a width of 32 cannot be split into 5 heads"));
  CHECK_THAT(refused(llama("attention.head_count")
                         .add_numbers<uint32_t>("llama.attention.head_count", 4, {4, 4})),
             Contains("a single value is wanted"));
  CHECK_THAT(refused(llama().add("llama.attention.head_count_kv", 3u)),
             Contains("4 heads cannot share 3 key-value heads"));
  CHECK_THAT(refused(llama().add("llama.rope.dimension_count", 4u)),
             Contains("\"llama.rope.dimension_count\" is 4, but a head has 8 elements"));
  CHECK_THAT(refused(llama().add("llama.attention.value_length", 4u)), Contains("value_length"));
  CHECK_THAT(refused(llama().add("llama.attention.key_length", 7u)), Contains("even width"));
  CHECK_THAT(refused(llama().add("llama.rope.freq_base", -1.f)), Contains("positive number"));
  CHECK_THAT(refused(llama().add("llama.expert_count", 8u)), Contains("mixture of experts"));
  CHECK_THAT(refused(llama().add("split.count", 2u)), Contains("one of 2 files"));
  CHECK_THAT(refused(llama().add("llama.attention.causal", false)), Contains("attention.causal"));
  CHECK_THAT(refused(llama().add_tensor("blk.2.attn_norm.weight", {1}, 0, std::string(4, '\0'))),
             Contains("\"blk.2.attn_norm.weight\" is of a layer that \"llama.block_count\", 2,"));
  CHECK_THAT(refused(llama().add("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b"})),
             Contains("has 2 tokens (\"tokenizer.ggml.tokens\"), but embeddings of 7"));
  GgufBytes q_only = llama().add_tensor("blk.0.attn_q.bias", {8}, 0, std::string(32, '\0'));
  CHECK_THAT(refused(q_only),
             Contains("biases on attn_q, but none on attn_k, attn_v, attn_output"));
  CHECK_THAT(refused(llama().add_tensor("token_embd.weight", {4, 8}, 0, std::string(128, '\0'))),
             Contains("\"llama.vocab_size\" is 7, but \"token_embd.weight\" has 8 rows"));
}

TEST_CASE("only a file that begins as GGUF does is one", "[core]") {
  const test::TempDir folder;
  write_file(folder / "a", "GGUF");
  write_file(folder / "b", "GGU");
  CHECK(is_gguf(folder / "a"));
  CHECK_FALSE(is_gguf(folder / "b"));
  CHECK_FALSE(is_gguf(folder.path()));
  CHECK_FALSE(is_gguf(folder / "absent"));
}

}  // namespace mtlora
