// The SentencePiece model inside a GGUF file (tokenizer.ggml.model "llama"): pieces, scores, types.
// Source: ggml, docs/gguf.md, "tokenizer.ggml.*"; llama.cpp, src/llama-vocab.cpp.
#pragma once

#include <string_view>
#include <vector>

#include "lib/core/gguf.h"
#include "lib/text/sentencepiece_model.h"

namespace mtlora {

/// Whether a space is set before a text.
inline constexpr const char* kGgufSpacePrefix = "tokenizer.ggml.add_space_prefix";

/// tokenizer.ggml.token_type: a SentencePieceModel::Type of each token. Throws Error where there
/// are not as many as tokens.
std::vector<int64_t> gguf_token_types(const GgufFile& file, size_t tokens);

/// BPE by the pieces' scores, without any normalization, the space before a text unless the file
/// says otherwise. The unknown token is the one that is named, or of that type, or the first.
/// Throws Error naming file and token for what SentencePiece cannot take; the id that is named as
/// unknown must be in range.
SentencePieceModel gguf_sentencepiece_model(const GgufFile& file,
                                            const std::vector<std::string_view>& tokens);

}  // namespace mtlora
