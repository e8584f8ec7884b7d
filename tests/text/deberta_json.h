// tokenizer.json of a DeBERTa-v2 as transformers 4 wrote it (DebertaV2Converter), made of the
// pieces and the character map of a SentencePiece model.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "lib/core/files.h"
#include "lib/core/json.h"
#include "lib/text/sentencepiece_model.h"
#include "lib/text/tokenizer.h"
#include "tests/support/paths.h"

namespace mtlora::test {

inline std::string to_base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view three = bytes.substr(at, 3);
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i)
      bits = bits << 8 | (i < three.size() ? static_cast<unsigned char>(three[i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      text += i <= three.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
  }
  return text;
}

inline Json deberta_v4_json(const SentencePieceModel& model) {
  Json vocab = Json::array(), added = Json::array();
  const auto add = [&](size_t id, const std::string& content, bool special) {
    added.push_back(
        {{"id", id}, {"content", content}, {"normalized", false}, {"special", special}});
  };
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const auto& [text, score, type] = model.pieces[id];
    vocab.push_back(Json::array({text, score}));
    if (type == SentencePieceModel::kControl || type == SentencePieceModel::kUserDefined)
      add(id, text, type == SentencePieceModel::kControl);
  }
  add(vocab.size(), "[MASK]", true);
  const Json a = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             b = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}},
             cls = {{"SpecialToken", {{"id", "[CLS]"}, {"type_id", 0}}}},
             sep = {{"SpecialToken", {{"id", "[SEP]"}, {"type_id", 0}}}},
             last = {{"SpecialToken", {{"id", "[SEP]"}, {"type_id", 1}}}};
  const Json metaspace = {{"type", "Metaspace"},
                          {"replacement", "\u2581"},
                          {"prepend_scheme", "always"},
                          {"split", true}};
  return {{"added_tokens", added},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}},
              {{"type", "Precompiled"}, {"precompiled_charsmap", to_base64(model.charsmap)}},
              {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}}}}}},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({metaspace})}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {cls, a, sep}},
            {"pair", {cls, a, sep, b, last}},
            {"special_tokens", {{"[CLS]", {{"ids", {1}}}}, {"[SEP]", {{"ids", {2}}}}}}}},
          {"decoder", metaspace},
          {"model",
           {{"type", "Unigram"},
            {"unk_id", model.unknown},
            {"byte_fallback", false},
            {"vocab", vocab}}}};
}

inline std::unique_ptr<Tokenizer> from_json(const Json& json, const char* config = "{}") {
  const TempDir folder;
  write_file_in_place(folder / "tokenizer.json", json.dump());
  write_file_in_place(folder / "tokenizer_config.json", config);
  return load_tokenizer(folder.path());
}

}  // namespace mtlora::test
