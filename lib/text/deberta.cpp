#include "lib/text/deberta.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/text/sentencepiece_model.h"
#include "lib/text/unigram.h"

namespace mtlora {
namespace {

UnigramModel unigram_of(const SentencePieceModel& file, const TokenizerConfig& config) {
  UnigramModel model{.pieces = {}, .unknown = file.unknown};
  for (const auto& piece : file.pieces) model.pieces.emplace_back(piece.text, piece.score);
  const auto named = config.named.find("unk_token");
  const std::pair<std::string, double> unknown = {
      named == config.named.end() ? deberta_roles().at("unk_token") : named->second.content, 0.0};
  const auto at = std::find(model.pieces.begin(), model.pieces.end(), unknown);
  if (at != model.pieces.end()) model.unknown = static_cast<int32_t>(at - model.pieces.begin());
  return model;
}

// Control and user-defined pieces, which are found in the text before the model sees it.
std::vector<AddedToken> pieces_to_find(const SentencePieceModel& file) {
  std::vector<AddedToken> found;
  for (const auto& piece : file.pieces)
    if (piece.type == SentencePieceModel::kControl ||
        piece.type == SentencePieceModel::kUserDefined)
      found.push_back(
          {.content = piece.text, .special = piece.type == SentencePieceModel::kControl});
  return found;
}

// All added tokens; what the model does not have gets the next free id, in transformers' order.
class AddedTokenList {
 public:
  explicit AddedTokenList(const Vocabulary& vocabulary)
      : vocabulary_(vocabulary), next_(vocabulary.size()) {}

  void add(AddedToken token) {
    if (token.content.empty() || has(token.content)) return;
    const int32_t said = token.id, own = vocabulary_.find(token.content);
    token.id = own >= 0 ? own : next_++;
    if (said >= 0 && said != token.id)
      fail("\"added_tokens_decoder\" gives \"{}\" the id {}, but its place is {}", token.content,
           said, token.id);
    tokens_.push_back(std::move(token));
  }
  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  bool has(const std::string& content) const {
    return std::any_of(tokens_.begin(), tokens_.end(),
                       [&](const AddedToken& token) { return token.content == content; });
  }

  const Vocabulary& vocabulary_;
  int32_t next_;
  std::vector<AddedToken> tokens_;
};

bool is_role(const std::string& token, const TokenizerConfig& config) {
  const auto& roles = deberta_roles();
  return std::any_of(roles.begin(), roles.end(), [&](const auto& role) {
    const auto named = config.named.find(role.first);
    return token == (named == config.named.end() ? role.second : named->second.content);
  });
}

std::vector<AddedToken> added_tokens(const SentencePieceModel& file, const Vocabulary& vocabulary,
                                     const TokenizerConfig& config) {
  AddedTokenList list(vocabulary);
  std::vector<AddedToken> said = config.added;
  std::sort(said.begin(), said.end(),
            [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  for (AddedToken& token : said) {
    token.special = token.special || is_role(token.content, config);
    list.add(token);
  }
  for (const char* role : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const auto named = config.named.find(role);
    list.add(named != config.named.end()
                 ? named->second
                 : AddedToken{.content = deberta_roles().at(role), .special = true});
  }
  for (const AddedToken& token : config.says_further ? config.further : pieces_to_find(file))
    list.add(token);
  return list.take();
}

TokenizerParts parts_of(const SentencePieceModel& file, const Vocabulary& vocabulary,
                        const TokenizerConfig& config) {
  for (const auto& [key, said] :
       {std::pair{"add_bos_token", config.add_bos_token}, {"add_eos_token", config.add_eos_token}})
    if (said.value_or(false)) fail("\"{}\": true is not implemented for this family", key);
  TokenizerParts parts;
  parts.added = added_tokens(file, vocabulary, config);
  parts.special = special_ids(deberta_roles(), config, [&](const std::string& token) {
    for (const AddedToken& added : parts.added)
      if (added.content == token) return added.id;
    return vocabulary.find(token);
  });
  parts.frame = bert_template(parts.special.cls, parts.special.sep);
  parts.cuts_front = config.cuts_front.value_or(false);
  return parts;
}

Normalizer normalizer_of(const TokenizerConfig& config) {
  std::vector<NormalizerStep> steps;
  if (config.do_lower_case.value_or(false)) steps.push_back(lowercase());
  steps.push_back(replace_white_space(" "));
  steps.push_back(unicode_form(Form::kNfc));
  steps.push_back(strip({.left = false, .right = true}));
  return Normalizer(std::move(steps));
}

PreTokenizer pre_tokenizer_of(const TokenizerConfig& config) {
  using Prepend = Metaspace::Prepend;
  const bool always = config.add_prefix_space.value_or(true);
  return PreTokenizer(
      {.split_punctuation = config.split_by_punct.value_or(false),
       .metaspace = Metaspace{.prepend = always ? Prepend::kAlways : Prepend::kFirst}});
}

}  // namespace

std::unique_ptr<Tokenizer> read_deberta_model(const std::filesystem::path& path,
                                              const TokenizerConfig& config) {
  const SentencePieceModel file = read_sentencepiece_model(path);
  try {
    if (file.algorithm != SentencePieceModel::kUnigram)
      fail("its trainer_spec.model_type is {}, but DeBERTa's is {}, unigram", file.algorithm,
           static_cast<int>(SentencePieceModel::kUnigram));
    const UnigramModel model = unigram_of(file, config);
    TokenizerParts parts = parts_of(file, vocabulary_of(model), config);
    parts.files = {path};
    parts.files.insert(parts.files.end(), config.files.begin(), config.files.end());
    return std::make_unique<UnigramTokenizer>(model, normalizer_of(config),
                                              pre_tokenizer_of(config), std::move(parts));
  } catch (const Error& e) {
    fail("{}: {}", path.string(), e.what());
  }
}

}  // namespace mtlora
