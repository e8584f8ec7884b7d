#include "lib/text/tokenizer_json.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/added_token_json.h"
#include "lib/text/byte_words_json.h"
#include "lib/text/character_bpe.h"
#include "lib/text/pipeline_json.h"
#include "lib/text/template_json.h"
#include "lib/text/unigram.h"
#include "lib/text/wordpiece.h"

namespace mtlora {
namespace {

const ForeignJson& section(const ForeignJson& json, const char* name) {
  static const ForeignJson null;
  const auto found = json.find(name);
  return found == json.end() ? null : *found;
}

std::string type_of(const ForeignJson& json, const char* name) {
  return step_type(section(json, name));
}

// The type of `section` must be one of `known`.
std::string require(const ForeignJson& json, const char* section,
                    const std::vector<std::string>& known) {
  const std::string type = type_of(json, section);
  if (std::find(known.begin(), known.end(), type) == known.end())
    fail("the {} \"{}\" is not implemented here (only {})", section, type, fmt::join(known, ", "));
  return type;
}

// Options that must be off.
void refuse(const ForeignJson& model, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = model.find(key);
    const bool off = found == model.end() || found->is_null() || *found == false || *found == "" ||
                     *found == 0.0;
    if (!off) fail("model: \"{}\": {} is not implemented", key, found->dump());
  }
}

Vocabulary read_vocabulary(const ForeignJson& model) {
  std::vector<std::pair<std::string, int32_t>> tokens;
  for (const auto& [token, id] : model.at("vocab").items())
    tokens.emplace_back(token, id.get<int32_t>());
  return Vocabulary(tokens);
}

TokenizerParts read_parts(const ForeignJson& json, const Vocabulary& vocabulary,
                          const TokenizerConfig& config, const RoleNames& family,
                          const TokenizerSource& source) {
  TokenizerParts parts;
  for (const auto added = value_or(json, "added_tokens", ForeignJson::array());
       const ForeignJson& token : added) {
    parts.added.push_back(added_token(token));
    if (parts.added.back().id < 0) fail("an added token has no \"id\": {}", token.dump());
  }
  add_config_tokens(config, vocabulary, parts.added);
  parts.special = special_ids(family, config, [&](const std::string& token) {
    for (const AddedToken& added : parts.added)
      if (added.content == token) return added.id;
    return vocabulary.find(token);
  });
  parts.frame = read_template(section(json, "post_processor"));
  const std::string post = type_of(json, "post_processor");
  // BERT's, RoBERTa's and DeBERTa's own classes do not know these words.
  if (post != "BertProcessing" && post != "RobertaProcessing" && &family != &deberta_roles())
    parts.frame = template_of(config, parts.special).value_or(parts.frame);
  const ForeignJson& truncation = section(json, "truncation");
  const bool says_left =
      truncation.is_object() && value_or<std::string>(truncation, "direction", "Right") == "Left";
  parts.cuts_front = config.cuts_front.value_or(says_left);
  parts.files = source.files;
  parts.extracted = source.extracted;
  return parts;
}

std::unique_ptr<Tokenizer> read_wordpiece(const ForeignJson& json, const TokenizerConfig& config,
                                          const TokenizerSource& source) {
  require(json, "normalizer", {"BertNormalizer"});
  require(json, "pre_tokenizer", {"BertPreTokenizer"});
  require(json, "decoder", {"WordPiece", "null"});
  const ForeignJson& model = json.at("model");
  const ForeignJson& normalizer = json.at("normalizer");
  WordPieceOptions options{
      .lowercase = config.do_lower_case.value_or(value_or(normalizer, "lowercase", true)),
      .strip_accents = config.strip_accents,
      .clean_text = value_or(normalizer, "clean_text", true),
      .separate_ideographs = config.tokenize_chinese_chars.value_or(
          value_or(normalizer, "handle_chinese_chars", true)),
      .unknown = value_or<std::string>(model, "unk_token", "[UNK]"),
      .continuing_prefix = value_or<std::string>(model, "continuing_subword_prefix", "##"),
      .longest_word = value_or<size_t>(model, "max_input_chars_per_word", 100)};
  if (!options.strip_accents && normalizer.contains("strip_accents") &&
      !normalizer["strip_accents"].is_null())
    options.strip_accents = normalizer["strip_accents"].get<bool>();
  Vocabulary vocabulary = read_vocabulary(model);
  TokenizerParts parts = read_parts(json, vocabulary, config, bert_roles(), source);
  return std::make_unique<WordPieceTokenizer>(std::move(vocabulary), std::move(options),
                                              std::move(parts));
}

Merges read_merges(const ForeignJson& merges) {
  Merges result;
  result.reserve(merges.size());
  for (const ForeignJson& merge : merges) {
    if (merge.is_array() && merge.size() == 2) {
      result.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.get<std::string>();
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      fail("model: the merge \"{}\" is not two tokens with a space between", text);
    result.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return result;
}

std::unique_ptr<Tokenizer> read_byte_bpe(const ForeignJson& json, const TokenizerConfig& config,
                                         const TokenizerSource& source) {
  require(json, "normalizer", {"null"});
  require(json, "decoder", {"ByteLevel", "null"});
  ByteBpeOptions options = read_byte_words(section(json, "pre_tokenizer"));
  const ForeignJson& model = json.at("model");
  refuse(model, {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                 "byte_fallback"});
  options.add_prefix_space = config.add_prefix_space.value_or(options.add_prefix_space);
  options.ignore_merges = value_or(model, "ignore_merges", false);
  options.unknown = value_or<std::string>(model, "unk_token", "");
  const bool is_alone = !options.split_digits && options.pattern != WordPattern::llama3;
  if (options.add_prefix_space && !is_alone)
    fail("\"add_prefix_space\": true is not implemented where ByteLevel is not alone");
  Vocabulary vocabulary = read_vocabulary(model);
  const bool is_roberta = vocabulary.find("<s>") >= 0;
  TokenizerParts parts =
      read_parts(json, vocabulary, config, is_roberta ? roberta_roles() : gpt2_roles(), source);
  return std::make_unique<ByteBpeTokenizer>(std::move(vocabulary), read_merges(model.at("merges")),
                                            options, std::move(parts));
}

std::unique_ptr<Tokenizer> read_character_bpe(const ForeignJson& json,
                                              const TokenizerConfig& config,
                                              const TokenizerSource& source) {
  require(json, "decoder", {"Sequence", "Metaspace", "null"});
  const ForeignJson& model = json.at("model");
  refuse(model, {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"});
  CharacterBpeOptions options{.normalizer = read_normalizer(section(json, "normalizer")),
                              .pre_tokenizer = read_pre_tokenizer(section(json, "pre_tokenizer")),
                              .byte_fallback = value_or(model, "byte_fallback", false),
                              .fuse_unknown = value_or(model, "fuse_unk", false),
                              .unknown = value_or<std::string>(model, "unk_token", "")};
  const auto steps = steps_of(section(json, "normalizer"), "normalizers");
  options.begins_with_space = options.pre_tokenizer.begins_with_space() ||
                              std::any_of(steps.begin(), steps.end(), [](const ForeignJson& step) {
                                return step_type(step) == "Prepend";
                              });
  Vocabulary vocabulary = read_vocabulary(model);
  TokenizerParts parts = read_parts(json, vocabulary, config, llama_roles(), source);
  return std::make_unique<CharacterBpeTokenizer>(
      std::move(vocabulary), read_merges(model.at("merges")), std::move(options), std::move(parts));
}

// The options of DebertaV2Tokenizer must say what the file does.
void check_options(const ForeignJson& json, const PreTokenizer& pre_tokenizer,
                   const TokenizerConfig& config) {
  const auto steps = steps_of(section(json, "normalizer"), "normalizers");
  const bool lowers = std::any_of(steps.begin(), steps.end(), [](const ForeignJson& step) {
    return step_type(step) == "Lowercase";
  });
  const auto check = [](const char* key, std::optional<bool> said, bool found) {
    if (said && *said != found)
      fail(
          "tokenizer_config.json says \"{}\": {}, which the normalizer and pre_tokenizer of this "
          "file contradict",
          key, *said);
  };
  check("do_lower_case", config.do_lower_case, lowers);
  check("split_by_punct", config.split_by_punct, pre_tokenizer.options().split_punctuation);
  if (config.add_prefix_space.value_or(false))
    check("add_prefix_space", config.add_prefix_space, pre_tokenizer.begins_with_space());
}

UnigramModel read_unigram_model(const ForeignJson& model) {
  UnigramModel result{.pieces = {},
                      .unknown = value_or(model, "unk_id", -1),
                      .byte_fallback = value_or(model, "byte_fallback", false)};
  for (const ForeignJson& piece : model.at("vocab"))
    result.pieces.emplace_back(piece.at(0).get<std::string>(), piece.at(1).get<double>());
  if (result.unknown < 0) fail("model: \"unk_id\" is wanted: the id of what is unknown");
  return result;
}

std::unique_ptr<Tokenizer> read_unigram(const ForeignJson& json, const TokenizerConfig& config,
                                        const TokenizerSource& source) {
  require(json, "decoder", {"Metaspace", "Sequence", "null"});
  const UnigramModel model = read_unigram_model(json.at("model"));
  PreTokenizer pre_tokenizer = read_pre_tokenizer(section(json, "pre_tokenizer"));
  check_options(json, pre_tokenizer, config);
  const Vocabulary vocabulary = vocabulary_of(model);
  const bool is_deberta = vocabulary.find("[CLS]") >= 0;
  TokenizerParts parts =
      read_parts(json, vocabulary, config, is_deberta ? deberta_roles() : roberta_roles(), source);
  return std::make_unique<UnigramTokenizer>(model, read_normalizer(section(json, "normalizer")),
                                            std::move(pre_tokenizer), std::move(parts));
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_json(const ForeignJson& json,
                                               const TokenizerConfig& config,
                                               TokenizerSource source) {
  const std::string file = source.files.front().string();
  try {
    std::string type = require(json, "model", {"WordPiece", "BPE", "Unigram", "null"});
    if (type == "null") type = json.at("model").contains("merges") ? "BPE" : "WordPiece";
    if (type == "WordPiece") return read_wordpiece(json, config, source);
    if (type == "Unigram") return read_unigram(json, config, source);
    const bool is_of_bytes =
        type_of(json, "normalizer") == "null" && type_of(json, "pre_tokenizer") != "Metaspace";
    return is_of_bytes ? read_byte_bpe(json, config, source)
                       : read_character_bpe(json, config, source);
  } catch (const std::exception& e) {
    fail("{}: {}", file, e.what());
  }
}

std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& file,
                                               const TokenizerConfig& config) {
  TokenizerSource source{.files = {file}, .extracted = {}};
  source.files.insert(source.files.end(), config.files.begin(), config.files.end());
  return tokenizer_from_json(read_foreign_json(file), config, std::move(source));
}

}  // namespace mtlora
