// The section "pre_tokenizer" of a tokenizer.json whose model is byte-level BPE.
#pragma once

#include "lib/text/byte_bpe.h"
#include "lib/text/foreign_json.h"

namespace mtlora {

/// The options of words: of ByteLevel alone, behind Digits, or behind a Split by Llama 3's pattern.
/// Throws Error for anything else.
ByteBpeOptions read_byte_words(const ForeignJson& section);

}  // namespace mtlora
