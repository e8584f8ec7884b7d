// tokenizer.json of Hugging Face `tokenizers`, as far as BERT, RoBERTa and GPT-2 use it.
#pragma once

#include "lib/text/tokenizer_config.h"

namespace mtlora {

/// Reads the file. As in transformers, an explicit option of `config` goes before the file's own;
/// "truncation" and "padding" do not count, the caller's maximum length does. Throws Error naming
/// the file and what in it is not implemented.
std::unique_ptr<Tokenizer> read_tokenizer_json(const std::filesystem::path& file,
                                               const TokenizerConfig& config);

}  // namespace mtlora
