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

}  // namespace mtlora
