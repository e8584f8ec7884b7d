#include "lib/text/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/text/character_bpe.h"
#include "lib/text/vocabulary.h"

namespace mtlora {
namespace {

using Processor = sentencepiece::SentencePieceProcessor;

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(std::unique_ptr<Processor> processor, Vocabulary vocabulary,
                         TokenizerParts parts)
      : Tokenizer(std::move(parts)),
        processor_(std::move(processor)),
        vocabulary_(std::move(vocabulary)) {
    std::vector<int> ids;
    // Whether the model sets a space before a text is seen by what it does.
    const auto status = processor_->Encode("a", &ids);
    if (!status.ok()) fail("{}", status.ToString());
    begins_with_space_ = !ids.empty() && vocabulary_.token(ids[0]).starts_with(kSpaceSymbol);
    set_added_tokens();
  }

  std::string decode(std::span<const int32_t> ids) const override {
    PieceText text(PieceText::Faults::kByte);
    for (const int32_t id : ids) text.add(token(id), vocabulary_.has(id) && processor_->IsByte(id));
    return text.take(begins_with_space_);
  }

 protected:
  std::string_view normalized(std::string_view text, std::string&) const override { return text; }

  void tokenize_plain(std::string_view text, Place, std::vector<int32_t>& ids) const override {
    std::vector<int> made;
    const auto status = processor_->Encode({text.data(), text.size()}, &made);
    if (!status.ok()) fail("SentencePiece: {}", status.ToString());
    ids.insert(ids.end(), made.begin(), made.end());
  }

  int32_t model_size() const override { return vocabulary_.size(); }
  int32_t model_id(std::string_view token) const override { return vocabulary_.find(token); }
  const std::string* model_token(int32_t id) const override {
    return vocabulary_.has(id) ? &vocabulary_.token(id) : nullptr;
  }

 private:
  std::unique_ptr<Processor> processor_;
  Vocabulary vocabulary_;
  bool begins_with_space_ = false;
};

Vocabulary vocabulary_of(const Processor& processor) {
  std::vector<std::pair<std::string, int32_t>> tokens;
  for (int id = 0; id < processor.GetPieceSize(); ++id)
    tokens.emplace_back(processor.IdToPiece(id), id);
  return Vocabulary(tokens);
}

// The model's own names of the roles.
RoleNames roles_of(const Processor& processor, const Vocabulary& vocabulary) {
  RoleNames roles;
  for (const auto& [role, id] : {std::pair{"bos_token", processor.bos_id()},
                                 {"eos_token", processor.eos_id()},
                                 {"unk_token", processor.unk_id()},
                                 {"pad_token", processor.pad_id()}})
    if (vocabulary.has(id)) roles.emplace(role, vocabulary.token(id));
  return roles;
}

TokenizerParts parts_of(const Processor& processor, const Vocabulary& vocabulary,
                        TokenizerConfig config) {
  const RoleNames roles = roles_of(processor, vocabulary);
  TokenizerParts parts;
  parts.added = role_tokens(roles, config, vocabulary);
  const auto find = [&](const std::string& token) {
    for (const AddedToken& added : parts.added)
      if (added.content == token) return added.id;
    return vocabulary.find(token);
  };
  parts.special = special_ids(roles, config, find);
  for (int id = 0; id < vocabulary.size(); ++id) {
    const auto is_this = [&](const AddedToken& added) { return added.id == id; };
    if (processor.IsControl(id) && std::none_of(parts.added.begin(), parts.added.end(), is_this))
      parts.added.push_back({.id = id, .content = vocabulary.token(id), .special = true});
  }
  parts.cuts_front = config.cuts_front.value_or(false);
  if (!config.add_bos_token) config.add_bos_token = parts.special.bos >= 0;
  parts.frame = template_of(config, parts.special).value();
  return parts;
}

}  // namespace

std::unique_ptr<Tokenizer> sentencepiece_from_bytes(std::string_view model,
                                                    const TokenizerConfig& config,
                                                    TokenizerSource source) {
  const std::string file = source.files.front().string();
  auto processor = std::make_unique<Processor>();
  const auto status = processor->LoadFromSerializedProto({model.data(), model.size()});
  if (!status.ok()) fail("{}: is no SentencePiece model: {}", file, status.ToString());
  try {
    Vocabulary vocabulary = vocabulary_of(*processor);
    TokenizerParts parts = parts_of(*processor, vocabulary, config);
    parts.files = std::move(source.files);
    parts.extracted = std::move(source.extracted);
    return std::make_unique<SentencePieceTokenizer>(std::move(processor), std::move(vocabulary),
                                                    std::move(parts));
  } catch (const Error& e) {
    fail("{}: {}", file, e.what());
  }
}

std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file,
                                              const TokenizerConfig& config) {
  TokenizerSource source{.files = {file}, .extracted = {}};
  source.files.insert(source.files.end(), config.files.begin(), config.files.end());
  return sentencepiece_from_bytes(read_file(file), config, std::move(source));
}

}  // namespace mtlora
