// What stands beside a vocabulary: tokenizer_config.json and special_tokens_map.json, and the
// special tokens of the families.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/text/foreign_json.h"
#include "lib/text/tokenizer.h"
#include "lib/text/vocabulary.h"

namespace mtlora {

struct TokenizerConfig {
  std::optional<bool> do_lower_case, strip_accents, tokenize_chinese_chars, add_prefix_space;
  std::optional<bool> add_bos_token, add_eos_token, split_by_punct;
  std::optional<bool> cuts_front;           ///< "truncation_side": "left"
  std::string tokenizer_class;              ///< "" where it is not said
  std::map<std::string, AddedToken> named;  ///< by role: "cls_token", …; without ids
  std::vector<AddedToken> further;          ///< "additional_special_tokens"; without ids
  bool says_further = false;                ///< whether a list of those is there, even an empty one
  std::vector<AddedToken> added;            ///< "added_tokens_decoder"
  std::vector<std::filesystem::path> files;  ///< those that were read
};

/// Where a tokenizer is from; see TokenizerParts.
struct TokenizerSource {
  std::vector<std::filesystem::path> files;  ///< the first one begins error messages
  std::vector<std::pair<std::string, std::string>> extracted;
};

/// Reads both files as far as they are there. Throws Error for what is not implemented.
TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_folder);

/// One file's content: what is not implemented is named without the file.
void add_to_config(const ForeignJson& json, TokenizerConfig& config);

/// The role names of a family with the tokens that stand for them where nothing else is said.
using RoleNames = std::map<std::string, std::string>;
const RoleNames& bert_roles();
const RoleNames& roberta_roles();
const RoleNames& gpt2_roles();
const RoleNames& llama_roles();
const RoleNames& deberta_roles();

/// From a token's text to its id, -1 where there is none.
using FindToken = std::function<int32_t(const std::string&)>;

/// The ids of the roles: what the config names must be there ("pad_token" may be absent, as nothing
/// is padded here), the family's own names may be absent.
SpecialIds special_ids(const RoleNames& family, const TokenizerConfig& config,
                       const FindToken& find);

/// Adds what `config` says to the added tokens that are there: "added_tokens_decoder" gives a token
/// its flags; named and additional special tokens that are there are left as they are. Throws Error
/// for an id that is not the token's place, and for a token, other than "pad_token", without an id.
void add_config_tokens(const TokenizerConfig& config, const Vocabulary& vocabulary,
                       std::vector<AddedToken>& tokens);

/// The added tokens of a folder without tokenizer.json: those of the config, then the roles'.
std::vector<AddedToken> role_tokens(const RoleNames& family, const TokenizerConfig& config,
                                    const Vocabulary& vocabulary);

/// [CLS] a [SEP], [CLS] a [SEP] b [SEP].
Template bert_template(int32_t cls, int32_t sep);
/// <s> a </s>, <s> a </s></s> b </s>, one segment.
Template roberta_template(int32_t cls, int32_t sep);
/// The texts alone; the second of a pair has segment 1, which GPT-2 does not read.
Template plain_template();
/// Each text between begin and end, -1 for one that is not wanted; the second of a pair has segment
/// 1: what transformers makes of "add_bos_token" and "add_eos_token".
Template bos_eos_template(int32_t bos, int32_t eos);
/// That template where `config` says either word of its own, nothing otherwise. Throws Error where
/// it wants a token that there is not.
std::optional<Template> template_of(const TokenizerConfig& config, const SpecialIds& special);

}  // namespace mtlora
