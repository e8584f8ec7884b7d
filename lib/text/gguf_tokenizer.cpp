#include "lib/text/gguf_tokenizer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/gguf.h"
#include "lib/text/byte_words.h"
#include "lib/text/gguf_sentencepiece.h"
#include "lib/text/sentencepiece.h"
#include "lib/text/template_json.h"
#include "lib/text/tokenizer_json.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr auto kControl = SentencePieceModel::kControl,  // of tokenizer.ggml.token_type
    kUserDefined = SentencePieceModel::kUserDefined;
constexpr std::array<std::string_view, 3> kLlama3 = {"llama-bpe", "llama3", "llama-v3"};

void require(const GgufFile& file, const char* key, const std::vector<std::string>& known) {
  const std::string_view found = file.text(key);
  for (const std::string& name : known)
    if (found == name) return;
  fail("{}: metadata \"{}\": \"{}\" is not implemented (only {})", file.path().string(), key, found,
       fmt::join(known, ", "));
}

std::vector<std::string_view> utf8_texts(const GgufFile& file, const char* key) {
  auto texts = file.texts(key);
  for (size_t i = 0; i < texts.size(); ++i)
    if (invalid_utf8(texts[i]))
      fail("{}: metadata \"{}\": number {} is not UTF-8", file.path().string(), key, i);
  return texts;
}

ForeignJson added_tokens(const GgufFile& file, const std::vector<std::string_view>& tokens) {
  ForeignJson added = ForeignJson::array();
  if (!file.has("tokenizer.ggml.token_type")) return added;
  const auto types = gguf_token_types(file, tokens.size());
  for (size_t id = 0; id < types.size(); ++id)
    if (types[id] == kControl || types[id] == kUserDefined)
      added.push_back({{"id", id},
                       {"content", tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", types[id] == kControl}});
  return added;
}

ForeignJson model(const GgufFile& file, const std::vector<std::string_view>& tokens) {
  ForeignJson vocab = ForeignJson::object(), merges = ForeignJson::array();
  for (size_t id = 0; id < tokens.size(); ++id)
    if (const auto [at, is_new] = vocab.emplace(tokens[id], id); !is_new)
      fail("{}: the tokens {} and {} are both \"{}\"", file.path().string(), at->get<size_t>(), id,
           tokens[id]);
  for (const std::string_view merge : utf8_texts(file, "tokenizer.ggml.merges"))
    merges.push_back(merge);
  return {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", std::move(merges)}};
}

bool is_llama3(const GgufFile& file) {
  const std::string_view pre = file.text("tokenizer.ggml.pre");
  return std::find(kLlama3.begin(), kLlama3.end(), pre) != kLlama3.end();
}

ForeignJson sequence(const ForeignJson& first, const ForeignJson& second) {
  return {{"type", "Sequence"}, {"pretokenizers", ForeignJson::array({first, second})}};
}

ForeignJson pre_tokenizer(const GgufFile& file) {
  ForeignJson bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  if (file.text("tokenizer.ggml.pre") == "smollm")
    return sequence({{"type", "Digits"}, {"individual_digits", true}}, bytes);
  if (!is_llama3(file)) return bytes;
  bytes["use_regex"] = false;
  return sequence({{"type", "Split"},
                   {"pattern", {{"Regex", kLlama3Pattern}}},
                   {"behavior", "Isolated"},
                   {"invert", false}},
                  bytes);
}

// tokenizer_config.json's words as a section too, for readers that go by the tokenizer.json alone,
// as transformers 5 does.
ForeignJson post_processor(const GgufFile& file, const ForeignJson& config,
                           const std::vector<std::string_view>& tokens) {
  const auto wanted = [&](const char* role) {
    if (!value_or(config, fmt::format("add_{}_token", role), false)) return -1;
    return static_cast<int32_t>(file.integer(fmt::format("tokenizer.ggml.{}_token_id", role)));
  };
  return template_section(bos_eos_template(wanted("bos"), wanted("eos")), tokens);
}

ForeignJson tokenizer_json(const GgufFile& file, const ForeignJson& config,
                           const std::vector<std::string_view>& tokens) {
  ForeignJson bpe = model(file, tokens);
  bpe["ignore_merges"] = is_llama3(file);
  return {{"version", "1.0"},
          {"added_tokens", added_tokens(file, tokens)},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer(file)},
          {"post_processor", post_processor(file, config, tokens)},
          {"decoder", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}},
          {"model", std::move(bpe)}};
}

ForeignJson tokenizer_config_json(const GgufFile& file,
                                  const std::vector<std::string_view>& tokens) {
  ForeignJson config = ForeignJson::object();
  for (const auto& [role, name] : {std::pair{"bos_token", "bos"},
                                   {"eos_token", "eos"},
                                   {"unk_token", "unknown"},
                                   {"pad_token", "padding"}}) {
    const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (!file.has(key)) continue;
    const int64_t id = file.integer(key);
    if (id < 0 || id >= static_cast<int64_t>(tokens.size()))
      fail("{}: metadata \"{}\": {} is not one of its {} tokens", file.path().string(), key, id,
           tokens.size());
    config[role] = tokens[static_cast<size_t>(id)];
  }
  for (const char* key : {"add_bos_token", "add_eos_token"})
    if (const auto full = fmt::format("tokenizer.ggml.{}", key); file.has(full))
      config[key] = file.boolean(full);
  return config;
}

std::unique_ptr<Tokenizer> byte_level(const GgufFile& file,
                                      const std::vector<std::string_view>& tokens) {
  std::vector<std::string> known = {"gpt-2", "smollm"};
  known.insert(known.end(), kLlama3.begin(), kLlama3.end());
  require(file, "tokenizer.ggml.pre", known);
  if (file.has(kGgufSpacePrefix) && file.boolean(kGgufSpacePrefix))
    fail("{}: \"{}\": true is not implemented", file.path().string(), kGgufSpacePrefix);
  ForeignJson config_json = tokenizer_config_json(file, tokens);
  if (is_llama3(file) && !config_json.contains("add_bos_token"))
    config_json["add_bos_token"] = true;
  const ForeignJson json = tokenizer_json(file, config_json, tokens);
  TokenizerConfig config;
  add_to_config(config_json, config);
  return tokenizer_from_json(json, config,
                             {.files = {file.path()},
                              .extracted = {{"tokenizer.json", json.dump()},
                                            {"tokenizer_config.json", config_json.dump()}}});
}

std::unique_ptr<Tokenizer> pieces(const GgufFile& file,
                                  const std::vector<std::string_view>& tokens) {
  ForeignJson config_json = tokenizer_config_json(file, tokens);  // special ids are in range
  // Cut out of a text as it is written, spaces and all, before SentencePiece sees the rest.
  for (ForeignJson& added : added_tokens(file, tokens)) {
    const std::string id = std::to_string(added["id"].get<int64_t>());
    if (!added["special"].get<bool>()) config_json["added_tokens_decoder"][id] = added;
  }
  const std::string made = serialized(gguf_sentencepiece_model(file, tokens));
  TokenizerConfig config;
  add_to_config(config_json, config);
  return sentencepiece_from_bytes(
      made, config,
      {.files = {file.path()},
       .extracted = {{"tokenizer.model", made}, {"tokenizer_config.json", config_json.dump()}}});
}

}  // namespace

std::unique_ptr<Tokenizer> read_gguf_tokenizer(const std::filesystem::path& path) {
  const GgufFile file(path);
  require(file, "tokenizer.ggml.model", {"gpt2", "llama"});
  const auto tokens = utf8_texts(file, "tokenizer.ggml.tokens");
  return file.text("tokenizer.ggml.model") == "llama" ? pieces(file, tokens)
                                                      : byte_level(file, tokens);
}

}  // namespace mtlora
