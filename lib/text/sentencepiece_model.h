// What a SentencePiece model file holds, as far as conversions from it and to it need.
// Source: sentencepiece_model.proto (Kudo and Richardson 2018, arXiv:1808.06226); the encoding of
// protocol buffers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace mtlora {

struct SentencePieceModel {
  enum Type : uint64_t {
    kNormal = 1,
    kUnknown = 2,
    kControl = 3,
    kUserDefined = 4,
    kUnused = 5,
    kByte = 6
  };
  enum Algorithm : uint64_t { kUnigram = 1, kBpe = 2 };
  struct Piece {
    std::string text;
    float score = 0;
    uint64_t type = kNormal;
  };
  std::vector<Piece> pieces;      // by id
  uint64_t algorithm = kUnigram;  // trainer_spec.model_type
  bool byte_fallback = false;     // trainer_spec.byte_fallback
  int32_t unknown = 0;            // trainer_spec.unk_id
  bool begins_with_space = true;  // normalizer_spec.add_dummy_prefix
  bool joins_spaces = true;       // normalizer_spec.remove_extra_whitespaces
  std::string charsmap;           // normalizer_spec.precompiled_charsmap; see charsmap.h
};

/// Throws Error naming the file where it is none.
SentencePieceModel read_sentencepiece_model(const std::filesystem::path& file);

/// The bytes of a model file.
std::string serialized(const SentencePieceModel& model);

}  // namespace mtlora
