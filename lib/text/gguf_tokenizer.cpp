#include "lib/text/gguf_tokenizer.h"

#include <utility>

#include "lib/core/error.h"
#include "lib/core/gguf.h"
#include "lib/text/tokenizer_json.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

constexpr int64_t kControl = 3, kUserDefined = 4;  // of tokenizer.ggml.token_type

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
  const auto types = file.integers("tokenizer.ggml.token_type");
  if (types.size() != tokens.size())
    fail("{}: {} types of tokens for {} tokens", file.path().string(), types.size(), tokens.size());
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

ForeignJson tokenizer_json(const GgufFile& file, const std::vector<std::string_view>& tokens) {
  const ForeignJson bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  const ForeignJson digits = {{"type", "Digits"}, {"individual_digits", true}};
  const bool splits_digits = file.text("tokenizer.ggml.pre") == "smollm";
  return {{"version", "1.0"},
          {"added_tokens", added_tokens(file, tokens)},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           splits_digits ? ForeignJson{{"type", "Sequence"},
                                       {"pretokenizers", ForeignJson::array({digits, bytes})}}
                         : bytes},
          {"post_processor", nullptr},
          {"decoder", bytes},
          {"model", model(file, tokens)}};
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

}  // namespace

std::unique_ptr<Tokenizer> read_gguf_tokenizer(const std::filesystem::path& path) {
  const GgufFile file(path);
  require(file, "tokenizer.ggml.model", {"gpt2"});
  require(file, "tokenizer.ggml.pre", {"gpt-2", "smollm"});
  if (file.has("tokenizer.ggml.add_space_prefix") &&
      file.boolean("tokenizer.ggml.add_space_prefix"))
    fail("{}: \"tokenizer.ggml.add_space_prefix\": true is not implemented", path.string());
  const auto tokens = utf8_texts(file, "tokenizer.ggml.tokens");
  const ForeignJson json = tokenizer_json(file, tokens);
  const ForeignJson config_json = tokenizer_config_json(file, tokens);
  TokenizerConfig config;
  add_to_config(config_json, config);
  return tokenizer_from_json(json, config,
                             {.files = {path},
                              .extracted = {{"tokenizer.json", json.dump()},
                                            {"tokenizer_config.json", config_json.dump()}}});
}

}  // namespace mtlora
