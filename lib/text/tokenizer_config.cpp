#include "lib/text/tokenizer_config.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/text/added_token_json.h"

namespace mtlora {
namespace {

void read_options(const ForeignJson& json, TokenizerConfig& config) {
  const auto option = [&](const char* key, std::optional<bool>& into) {
    if (json.contains(key) && !json[key].is_null()) into = json[key].get<bool>();
  };
  option("do_lower_case", config.do_lower_case);
  option("strip_accents", config.strip_accents);
  option("tokenize_chinese_chars", config.tokenize_chinese_chars);
  option("add_prefix_space", config.add_prefix_space);
  option("add_bos_token", config.add_bos_token);
  option("add_eos_token", config.add_eos_token);
  option("split_by_punct", config.split_by_punct);
  config.tokenizer_class = value_or<std::string>(json, "tokenizer_class", "");
  const auto side = value_or<std::string>(json, "truncation_side", "");
  if (!side.empty() && side != "left" && side != "right")
    fail("\"truncation_side\": \"{}\" is neither \"left\" nor \"right\"", side);
  if (!side.empty()) config.cuts_front = side == "left";
  if (!value_or(json, "do_basic_tokenize", true))
    fail("\"do_basic_tokenize\": false is not implemented");
  const auto decoder = value_or(json, "added_tokens_decoder", ForeignJson::object());
  for (const auto& [id, token] : decoder.items()) {
    config.added.push_back(added_token(token));
    config.added.back().id = std::stoi(id);
  }
}

void read_tokens(const ForeignJson& json, TokenizerConfig& config) {
  for (const char* role : {"cls_token", "sep_token", "bos_token", "eos_token", "pad_token",
                           "unk_token", "mask_token"}) {
    if (json.contains(role) && !json[role].is_null())
      config.named.emplace(role, special_token(json[role]));
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    config.says_further = config.says_further || json.contains(key);
    for (const auto further = value_or(json, key, ForeignJson::array());
         const ForeignJson& token : further)
      config.further.push_back(special_token(token));
  }
}

// The token of a role, and whether the config named it.
std::pair<std::string, bool> token_of(const std::string& role, const RoleNames& family,
                                      const TokenizerConfig& config) {
  if (const auto named = config.named.find(role); named != config.named.end())
    return {named->second.content, true};
  const auto own = family.find(role);
  return {own == family.end() ? "" : own->second, false};
}

// The role that may lack its token: texts are packed here, none is padded.
constexpr const char* kUnneeded = "pad_token";

int32_t id_of(const std::string& role, const RoleNames& family, const TokenizerConfig& config,
              const FindToken& find) {
  const auto [token, is_named] = token_of(role, family, config);
  const int32_t id = token.empty() ? -1 : find(token);
  if (id < 0 && is_named && role != kUnneeded)
    fail("the {} \"{}\" is not in the vocabulary", role, token);
  return id;
}

AddedToken* find_token(std::vector<AddedToken>& tokens, const std::string& content) {
  const auto at = std::find_if(tokens.begin(), tokens.end(),
                               [&](const AddedToken& token) { return token.content == content; });
  return at == tokens.end() ? nullptr : &*at;
}

// The id that a token has or, as in `tokenizers`, gets: the next behind all others.
int32_t place_of(const std::string& content, const AddedToken* there, const Vocabulary& vocabulary,
                 const std::vector<AddedToken>& tokens) {
  const int32_t own = there ? there->id : vocabulary.find(content);
  if (own >= 0) return own;
  int32_t next = vocabulary.size();
  for (const AddedToken& token : tokens) next = std::max(next, token.id + 1);
  return next;
}

}  // namespace

void add_to_config(const ForeignJson& json, TokenizerConfig& config) {
  read_options(json, config);
  read_tokens(json, config);
}

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_folder) {
  TokenizerConfig config;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const auto file = model_folder / name;
    if (!std::filesystem::exists(file)) continue;
    try {
      const ForeignJson json = read_foreign_json(file);
      if (config.files.empty() && name == std::string_view("tokenizer_config.json"))
        read_options(json, config);
      read_tokens(json, config);
    } catch (const std::exception& e) {
      const std::string_view what = e.what();
      if (what.starts_with(file.string())) throw;
      fail("{}: {}", file.string(), what);
    }
    config.files.push_back(file);
  }
  return config;
}

const RoleNames& bert_roles() {
  static const RoleNames roles = {{"cls_token", "[CLS]"},
                                  {"sep_token", "[SEP]"},
                                  {"pad_token", "[PAD]"},
                                  {"unk_token", "[UNK]"},
                                  {"mask_token", "[MASK]"}};
  return roles;
}

const RoleNames& roberta_roles() {
  static const RoleNames roles = {{"cls_token", "<s>"},    {"sep_token", "</s>"},
                                  {"bos_token", "<s>"},    {"eos_token", "</s>"},
                                  {"pad_token", "<pad>"},  {"unk_token", "<unk>"},
                                  {"mask_token", "<mask>"}};
  return roles;
}

const RoleNames& gpt2_roles() {
  static const RoleNames roles = {{"bos_token", "<|endoftext|>"},
                                  {"eos_token", "<|endoftext|>"},
                                  {"unk_token", "<|endoftext|>"}};
  return roles;
}

const RoleNames& llama_roles() {
  static const RoleNames roles = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  return roles;
}

const RoleNames& deberta_roles() {
  static const RoleNames roles = {{"cls_token", "[CLS]"},  {"sep_token", "[SEP]"},
                                  {"bos_token", "[CLS]"},  {"eos_token", "[SEP]"},
                                  {"pad_token", "[PAD]"},  {"unk_token", "[UNK]"},
                                  {"mask_token", "[MASK]"}};
  return roles;
}

SpecialIds special_ids(const RoleNames& family, const TokenizerConfig& config,
                       const FindToken& find) {
  const auto id = [&](const char* role) { return id_of(role, family, config, find); };
  const auto either = [&](const char* role, const char* other) {
    const int32_t found = id(role);
    return found >= 0 ? found : id(other);
  };
  return {.cls = either("cls_token", "bos_token"),
          .sep = either("sep_token", "eos_token"),
          .pad = id("pad_token"),
          .unk = id("unk_token"),
          .mask = id("mask_token"),
          .bos = id("bos_token"),
          .eos = id("eos_token")};
}

void add_config_tokens(const TokenizerConfig& config, const Vocabulary& vocabulary,
                       std::vector<AddedToken>& tokens) {
  std::vector<AddedToken> said = config.added;
  std::sort(said.begin(), said.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : said) {
    if (token.content.empty()) continue;
    AddedToken* there = find_token(tokens, token.content);
    const int32_t place = place_of(token.content, there, vocabulary, tokens);
    if (token.id != place)
      fail("\"added_tokens_decoder\" gives \"{}\" the id {}, but its place is {}", token.content,
           token.id, place);
    token.special = token.special || (there && there->special);
    if (there)
      *there = std::move(token);
    else
      tokens.push_back(std::move(token));
  }
  const auto add = [&](AddedToken token, const std::string& role) {
    AddedToken* there = find_token(tokens, token.content);
    if (there) there->special = true;
    if (there || token.content.empty()) return;
    token.id = vocabulary.find(token.content);
    if (token.id < 0 && role == kUnneeded) return;
    if (token.id < 0) fail("the {} \"{}\" is not in the vocabulary", role, token.content);
    tokens.push_back(std::move(token));
  };
  for (const auto& [role, token] : config.named) add(token, role);
  for (const AddedToken& token : config.further) add(token, "additional special token");
}

std::vector<AddedToken> role_tokens(const RoleNames& family, const TokenizerConfig& config,
                                    const Vocabulary& vocabulary) {
  std::vector<AddedToken> tokens;
  add_config_tokens(config, vocabulary, tokens);
  for (const auto& [role, content] : family) {
    const int32_t id = vocabulary.find(content);
    if (id >= 0 && !config.named.contains(role) && !find_token(tokens, content))
      tokens.push_back({.id = id, .content = content, .special = true});
  }
  return tokens;
}

Template bert_template(int32_t cls, int32_t sep) {
  constexpr int32_t first = Template::kFirst, second = Template::kSecond;
  return {.single = {{cls, 0}, {first, 0}, {sep, 0}},
          .pair = {{cls, 0}, {first, 0}, {sep, 0}, {second, 1}, {sep, 1}}};
}

Template roberta_template(int32_t cls, int32_t sep) {
  constexpr int32_t first = Template::kFirst, second = Template::kSecond;
  return {.single = {{cls, 0}, {first, 0}, {sep, 0}},
          .pair = {{cls, 0}, {first, 0}, {sep, 0}, {sep, 0}, {second, 0}, {sep, 0}}};
}

Template plain_template() {
  return bos_eos_template(-1, -1);
}

Template bos_eos_template(int32_t bos, int32_t eos) {
  Template frame;
  const auto add = [&](std::vector<Template::Piece>& pieces, int32_t text, int32_t segment) {
    if (bos >= 0) pieces.push_back({bos, segment});
    pieces.push_back({text, segment});
    if (eos >= 0) pieces.push_back({eos, segment});
  };
  add(frame.single, Template::kFirst, 0);
  add(frame.pair, Template::kFirst, 0);
  add(frame.pair, Template::kSecond, 1);
  return frame;
}

std::optional<Template> template_of(const TokenizerConfig& config, const SpecialIds& special) {
  if (!config.add_bos_token && !config.add_eos_token) return std::nullopt;
  const auto wanted = [](bool is_wanted, int32_t id, const char* role) {
    if (is_wanted && id < 0) fail("\"add_{0}\" is true, but there is no \"{0}\"", role);
    return is_wanted ? id : -1;
  };
  return bos_eos_template(wanted(config.add_bos_token.value_or(false), special.bos, "bos_token"),
                          wanted(config.add_eos_token.value_or(false), special.eos, "eos_token"));
}

}  // namespace mtlora
