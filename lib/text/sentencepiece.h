// SentencePiece models, BPE and unigram, through the library of Kudo and Richardson 2018,
// arXiv:1808.06226 (libsentencepiece), with what Hugging Face's LlamaTokenizer has around them.
#pragma once

#include "lib/text/tokenizer_config.h"

namespace mtlora {

/// Reads a tokenizer.model. Its own normalisation counts, the space before a text among it; <s>
/// stands before a text unless "add_bos_token" says otherwise, and control symbols inside a text
/// are recognised. Throws Error naming the file.
std::unique_ptr<Tokenizer> read_sentencepiece(const std::filesystem::path& file,
                                              const TokenizerConfig& config);

/// The same of a model's bytes.
std::unique_ptr<Tokenizer> sentencepiece_from_bytes(std::string_view model,
                                                    const TokenizerConfig& config,
                                                    TokenizerSource source);

}  // namespace mtlora
