// Finds a model folder's tokenizer and builds it, with the defaults of Hugging Face's
// BertTokenizer, RobertaTokenizer, GPT2Tokenizer, LlamaTokenizer and DebertaV2Tokenizer
// (transformers 5.23).
#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/gguf_config.h"
#include "lib/text/byte_bpe.h"
#include "lib/text/deberta.h"
#include "lib/text/foreign_json.h"
#include "lib/text/gguf_tokenizer.h"
#include "lib/text/sentencepiece.h"
#include "lib/text/tokenizer_config.h"
#include "lib/text/tokenizer_json.h"
#include "lib/text/wordpiece.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Calls `line(text, number from 1)` for the lines of a file; "\r\n" ends a line as well.
template <class Line>
void for_each_line(const fs::path& file, const Line& line) {
  const std::string text = read_file(file);
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view content = std::string_view(text).substr(begin, end - begin);
    if (content.ends_with('\r')) content.remove_suffix(1);
    line(content, ++number);
    begin = end + 1;
  }
}

// The class that the config names must be of a family that this vocabulary can serve.
void check_class(const TokenizerConfig& config, const std::vector<std::string_view>& prefixes) {
  const std::string_view name = config.tokenizer_class;
  const auto fits = [&](std::string_view prefix) { return name.starts_with(prefix); };
  if (!name.empty() && std::none_of(prefixes.begin(), prefixes.end(), fits))
    fail("the tokenizer class \"{}\" is not implemented without a tokenizer.json", name);
}

Template frame_of(const RoleNames& family, const TokenizerConfig& config,
                  const SpecialIds& special) {
  if (&family == &gpt2_roles()) return template_of(config, special).value_or(plain_template());
  for (const auto& [key, said] :
       {std::pair{"add_bos_token", config.add_bos_token}, {"add_eos_token", config.add_eos_token}})
    if (said.value_or(false)) fail("\"{}\": true is not implemented for this family", key);
  for (const auto& [role, id] : {std::pair{"cls_token", special.cls}, {"sep_token", special.sep}})
    if (id < 0) fail("the {} \"{}\" is not in the vocabulary", role, family.at(role));
  return &family == &bert_roles() ? bert_template(special.cls, special.sep)
                                  : roberta_template(special.cls, special.sep);
}

TokenizerParts parts_of(const RoleNames& family, const TokenizerConfig& config,
                        const Vocabulary& vocabulary, std::vector<fs::path> files) {
  const FindToken own = [&](const std::string& token) { return vocabulary.find(token); };
  TokenizerParts parts;
  parts.added = role_tokens(family, config, vocabulary);
  parts.special = special_ids(family, config, [&](const std::string& token) {
    for (const AddedToken& added : parts.added)
      if (added.content == token) return added.id;
    return own(token);
  });
  parts.frame = frame_of(family, config, parts.special);
  parts.cuts_front = config.cuts_front.value_or(false);
  parts.files = std::move(files);
  parts.files.insert(parts.files.end(), config.files.begin(), config.files.end());
  return parts;
}

std::unique_ptr<Tokenizer> read_vocab_txt(const fs::path& file, const TokenizerConfig& config) {
  check_class(config, {"Bert", "DistilBert", "Electra", "MobileBert"});
  std::vector<std::pair<std::string, int32_t>> tokens;
  for_each_line(file, [&](std::string_view line, size_t number) {
    tokens.emplace_back(line, static_cast<int32_t>(number) - 1);
  });
  Vocabulary vocabulary(tokens);
  TokenizerParts parts = parts_of(bert_roles(), config, vocabulary, {file});
  const auto unknown = config.named.find("unk_token");
  WordPieceOptions options{
      .lowercase = config.do_lower_case.value_or(true),
      .strip_accents = config.strip_accents,
      .separate_ideographs = config.tokenize_chinese_chars.value_or(true),
      .unknown = unknown == config.named.end() ? "[UNK]" : unknown->second.content};
  return std::make_unique<WordPieceTokenizer>(std::move(vocabulary), std::move(options),
                                              std::move(parts));
}

Merges read_merges_txt(const fs::path& file) {
  Merges merges;
  for_each_line(file, [&](std::string_view line, size_t number) {
    if (line.starts_with("#version")) return;
    const size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos)
      fail("{}:{}: \"{}\" is not two tokens with a space between", file.string(), number, line);
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  });
  return merges;
}

std::unique_ptr<Tokenizer> read_vocab_json(const fs::path& file, const fs::path& merges_file,
                                           const TokenizerConfig& config) {
  using Tokens = std::vector<std::pair<std::string, int32_t>>;
  const ForeignJson json = read_foreign_json(file);
  if (!json.is_object()) fail("{}: an object of tokens and ids is wanted", file.string());
  Tokens tokens;
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer())
      fail("{}: the id of \"{}\" is {}", file.string(), token, id.dump());
    tokens.emplace_back(token, id.get<int32_t>());
  }
  Vocabulary vocabulary(tokens);
  const bool is_roberta = vocabulary.find("<s>") >= 0;
  check_class(config, is_roberta ? std::vector<std::string_view>{"Roberta"}
                                 : std::vector<std::string_view>{"GPT2"});
  TokenizerParts parts = parts_of(is_roberta ? roberta_roles() : gpt2_roles(), config, vocabulary,
                                  {file, merges_file});
  return std::make_unique<ByteBpeTokenizer>(
      std::move(vocabulary), read_merges_txt(merges_file),
      ByteBpeOptions{.add_prefix_space = config.add_prefix_space.value_or(false), .unknown = {}},
      std::move(parts));
}

[[noreturn]] void fail_without_tokenizer(const fs::path& folder,
                                         const std::vector<fs::path>& ggufs) {
  const auto there = [&](const char* name) { return fs::exists(folder / name); };
  fail(
      "{}: no tokenizer found; looked for tokenizer.json, for tokenizer.model, for spm.model, for "
      "vocab.txt, for vocab.json with merges.txt{}, and for one GGUF file{}",
      folder.string(),
      there("vocab.json")   ? " (merges.txt is missing)"
      : there("merges.txt") ? " (vocab.json is missing)"
                            : "",
      ggufs.size() > 1 ? fmt::format(" (there are {})", choice_of_gguf(ggufs)) : "");
}

// What older versions of transformers wrote beside a model file; "added_tokens_decoder" says the
// same and more.
TokenizerConfig with_added_tokens_json(const fs::path& file, TokenizerConfig config) {
  if (!fs::exists(file) || !config.added.empty()) return config;
  const ForeignJson json = read_foreign_json(file);
  if (!json.is_object()) fail("{}: an object of tokens and ids is wanted", file.string());
  for (const auto& [token, id] : json.items()) {
    if (!id.is_number_integer())
      fail("{}: the id of \"{}\" is {}", file.string(), token, id.dump());
    config.added.push_back({.id = id.get<int32_t>(), .content = token, .normalized = true});
  }
  config.files.push_back(file);
  return config;
}

std::unique_ptr<Tokenizer> load_vocabulary(const fs::path& folder, const TokenizerConfig& config) {
  const fs::path added = folder / "added_tokens.json";
  if (!fs::exists(folder / "tokenizer.model") && fs::exists(folder / "spm.model")) {
    check_class(config, {"DebertaV2"});
    return read_deberta_model(folder / "spm.model", with_added_tokens_json(added, config));
  }
  if (fs::exists(added))
    fail("{}: is not implemented; save the tokenizer with a tokenizer.json", added.string());
  if (fs::exists(folder / "tokenizer.model")) {
    check_class(config, {"Llama"});
    return read_sentencepiece(folder / "tokenizer.model", config);
  }
  return fs::exists(folder / "vocab.txt")
             ? read_vocab_txt(folder / "vocab.txt", config)
             : read_vocab_json(folder / "vocab.json", folder / "merges.txt", config);
}

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const fs::path& folder) {
  if (fs::is_regular_file(folder)) return read_gguf_tokenizer(folder);
  if (!fs::is_directory(folder)) fail("{}: there is no such model folder", folder.string());
  const auto there = [&](const char* name) { return fs::exists(folder / name); };
  const bool has_bpe = there("vocab.json") && there("merges.txt");
  const char* const files[] = {"tokenizer.json", "tokenizer.model", "spm.model", "vocab.txt"};
  if (!has_bpe && std::none_of(std::begin(files), std::end(files), there)) {
    const auto ggufs = gguf_files(folder);
    if (ggufs.size() != 1) fail_without_tokenizer(folder, ggufs);
    return read_gguf_tokenizer(ggufs.front());
  }
  const TokenizerConfig config = read_tokenizer_config(folder);
  if (there("tokenizer.json")) return read_tokenizer_json(folder / "tokenizer.json", config);
  try {
    return load_vocabulary(folder, config);
  } catch (const Error& e) {
    const std::string_view what = e.what();
    if (what.starts_with(folder.string())) throw;
    fail("{}: {}", folder.string(), what);
  }
}

}  // namespace mtlora
