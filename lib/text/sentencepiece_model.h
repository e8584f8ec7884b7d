// What a SentencePiece model file holds, as far as Hugging Face's conversions read it.
// Source: sentencepiece_model.proto (Kudo and Richardson 2018, arXiv:1808.06226); the encoding of
// protocol buffers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mtlora {

struct SentencePieceModel {
  enum Type : uint64_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };
  enum Algorithm : uint64_t { kUnigram = 1, kBpe = 2 };
  struct Piece {
    std::string text;
    float score = 0;
    uint64_t type = kNormal;
  };
  std::vector<Piece> pieces;      // by id
  uint64_t algorithm = kUnigram;  // trainer_spec.model_type
  int32_t unknown = 0;            // trainer_spec.unk_id
  std::string charsmap;           // normalizer_spec.precompiled_charsmap; see charsmap.h
};

/// Throws Error naming the file where it is none.
SentencePieceModel read_sentencepiece_model(const std::filesystem::path& file);

}  // namespace mtlora
