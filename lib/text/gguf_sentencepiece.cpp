#include "lib/text/gguf_sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <unordered_map>

#include "lib/core/error.h"
#include "lib/core/log.h"

namespace mtlora {
namespace {

// As llama.cpp finds it: the one that is named, or of type unknown, or the first. Its converter
// writes <unk> as a control token where the model's tokenizer_config.json lists it.
int64_t unknown_of(const GgufFile& file, const std::vector<int64_t>& types) {
  constexpr const char* kKey = "tokenizer.ggml.unknown_token_id";
  const std::string place = file.path().string();
  std::vector<int64_t> typed;
  for (size_t id = 0; id < types.size(); ++id)
    if (types[id] == SentencePieceModel::kUnknown) typed.push_back(static_cast<int64_t>(id));
  if (typed.size() > 1)
    fail("{}: the tokens {} and {} are both of type {}, unknown", place, typed[0], typed[1],
         int64_t{SentencePieceModel::kUnknown});
  if (!file.has(kKey)) return typed.empty() ? 0 : typed[0];
  const int64_t named = file.integer(kKey);
  if (!typed.empty() && typed[0] != named)
    fail("{}: \"{}\" is {}, but token {} is of the type unknown", place, kKey, named, typed[0]);
  return named;
}

// What SentencePiece would not say with the token's number.
void check_pieces(const GgufFile& file, const std::vector<std::string_view>& tokens,
                  const std::vector<int64_t>& types, const std::vector<double>& scores) {
  const std::string place = file.path().string();
  if (tokens.empty()) fail("{}: has no tokens", place);
  if (scores.size() != tokens.size())
    fail("{}: {} scores of tokens for {} tokens", place, scores.size(), tokens.size());
  std::unordered_map<std::string_view, size_t> seen;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (types[id] < int64_t{SentencePieceModel::kNormal} ||
        types[id] > int64_t{SentencePieceModel::kByte})
      fail("{}: the type of token {} is {}: there is no such type", place, id, types[id]);
    if (!std::isfinite(scores[id])) fail("{}: the score of token {} is {}", place, id, scores[id]);
    if (tokens[id].empty()) fail("{}: token {} is empty", place, id);
    if (const auto [at, is_new] = seen.emplace(tokens[id], id); !is_new)
      fail("{}: the tokens {} and {} are both \"{}\"", place, at->second, id, tokens[id]);
  }
  const auto bytes = std::count(types.begin(), types.end(), int64_t{SentencePieceModel::kByte});
  if (bytes != 0 && bytes != 256)
    fail("{}: has {} of the 256 tokens of single bytes: all or none are implemented", place, bytes);
}

// Between files made of a tokenizer.model the scores differ; without one the converter has none.
void warn_of_scores(const GgufFile& file, const std::vector<int64_t>& types,
                    const std::vector<double>& scores) {
  std::set<double> of_normal;
  for (size_t id = 0; id < types.size(); ++id)
    if (types[id] == SentencePieceModel::kNormal) of_normal.insert(scores[id]);
  if (of_normal.size() == 1)
    log::warn(
        fmt::format("{}: all its tokens have one score, so texts are not cut as the model has "
                    "learned them (a file made without a tokenizer.model); put it into a folder "
                    "with the model's tokenizer.json, and name the folder",
                    file.path().string()));
}

}  // namespace

std::vector<int64_t> gguf_token_types(const GgufFile& file, size_t tokens) {
  auto types = file.integers("tokenizer.ggml.token_type");
  if (types.size() != tokens)
    fail("{}: {} types of tokens for {} tokens", file.path().string(), types.size(), tokens);
  return types;
}

SentencePieceModel gguf_sentencepiece_model(const GgufFile& file,
                                            const std::vector<std::string_view>& tokens) {
  const auto types = gguf_token_types(file, tokens.size());
  const auto scores = file.numbers("tokenizer.ggml.scores");
  check_pieces(file, tokens, types, scores);
  warn_of_scores(file, types, scores);
  SentencePieceModel made;
  made.algorithm = SentencePieceModel::kBpe;
  made.joins_spaces = false;
  made.unknown = static_cast<int32_t>(unknown_of(file, types));
  for (size_t id = 0; id < tokens.size(); ++id) {
    made.pieces.push_back({.text = std::string(tokens[id]),
                           .score = static_cast<float>(scores[id]),
                           .type = static_cast<uint64_t>(types[id])});
    made.byte_fallback = made.byte_fallback || types[id] == SentencePieceModel::kByte;
  }
  made.pieces.at(static_cast<size_t>(made.unknown)).type = SentencePieceModel::kUnknown;
  if (file.has(kGgufSpacePrefix)) made.begins_with_space = file.boolean(kGgufSpacePrefix);
  return made;
}

}  // namespace mtlora
