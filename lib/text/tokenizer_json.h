// tokenizer.json of Hugging Face `tokenizers`, as far as BERT, RoBERTa, GPT-2, SmolLM2 and the
// conversions of SentencePiece's models, BPE (Llama) and unigram (DeBERTa-v2), use it.
#pragma once

#include "lib/text/tokenizer_config.h"

namespace mtlora {

/// Reads the file. As in transformers, an explicit option of `config` goes before the file's own;
/// "padding" does not count, nor do "truncation" and its length, where the caller's maximum does:
/// of it only the side that it cuts. Throws Error naming
/// the file and what in it is not implemented.
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& file,
                                               const TokenizerConfig& config);

/// The same of the parsed content.
std::unique_ptr<Tokenizer> tokenizer_from_json(const ForeignJson& json,
                                               const TokenizerConfig& config,
                                               TokenizerSource source);

}  // namespace mtlora
