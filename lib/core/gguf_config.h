// What a GGUF file says of its model, as the config.json that Hugging Face transformers has for it.
// Source: ggml, docs/gguf.md, "[llm].*"; transformers 5.23, integrations/ggml.py
// (GGUF_CONFIG_MAPPING), here with the names of a config.json of transformers 4.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/gguf.h"
#include "lib/core/json.h"

namespace mtlora {

/// F32 [head_dim / 2], what each rotary frequency is divided by: a tensor that is no weight.
inline constexpr std::string_view kRotaryDivisors = "rope_freqs.weight";

/// model_type "llama", hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads,
/// head_dim, intermediate_size, max_position_embeddings, rms_norm_eps, rope_theta, rope_scaling
/// (null, or of type linear or llama3), vocab_size, tie_word_embeddings, attention_bias, mlp_bias,
/// hidden_act, and bos_, eos_ and pad_token_id (null where the file has none). Throws Error for
/// another architecture than llama, and for variants of it that a config.json of model_type llama
/// cannot say; kRotaryDivisors that are Llama 3.1's it can.
Json gguf_model_config(const GgufFile& file);
Json gguf_model_config(const std::filesystem::path& file);

/// Whether `path` is a file that begins as GGUF does.
bool is_gguf(const std::filesystem::path& path);

/// The files of a folder whose names end in .gguf, sorted; none where there is no such folder.
std::vector<std::filesystem::path> gguf_files(const std::filesystem::path& folder);
/// What an error says where there are several: "2 GGUF files: a.gguf, b.gguf; name one of them".
std::string choice_of_gguf(const std::vector<std::filesystem::path>& files);

/// Where the model of that path is: in the only GGUF file of a folder without config.json, or at
/// the path itself.
std::filesystem::path model_place(const std::filesystem::path& path);

}  // namespace mtlora
