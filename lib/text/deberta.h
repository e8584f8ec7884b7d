// The tokenizer of DeBERTa-v2 and -v3 (He et al. 2021, arXiv:2006.03654, arXiv:2111.09543) from its
// spm.model, as transformers 5.23 (DebertaV2Tokenizer, slow and fast are one there) builds it: the
// unigram model of the file, around which nothing else of the file counts, its own normalisation
// and byte pieces among it; white space, NFC and the end of the text are set right instead.
#pragma once

#include "lib/text/tokenizer_config.h"

namespace mtlora {

/// Reads a spm.model. Of `config` "do_lower_case", "split_by_punct" and "add_prefix_space" count;
/// the special tokens that the model does not have ([MASK]) get the ids behind it. Throws Error
/// naming the file.
std::unique_ptr<Tokenizer> read_deberta_model(const std::filesystem::path& file,
                                              const TokenizerConfig& config);

}  // namespace mtlora
