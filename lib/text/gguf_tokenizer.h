// The tokenizer inside a GGUF file, as the tokenizer.json or tokenizer.model it was made of.
// Source: ggml, docs/gguf.md, "tokenizer.ggml.*"; llama.cpp, src/llama-vocab.cpp (the
// pre-tokenizers by name); transformers 5.23, integrations/gguf/gguf_tokenizer_mapping.py.
#pragma once

#include "lib/text/tokenizer.h"

namespace mtlora {

/// Byte-level BPE (tokenizer.ggml.model "gpt2") with the pre-tokenizer "gpt-2", "smollm" (number
/// signs one by one, then GPT-2's words; transformers reads such a file without the first step,
/// which SmolLM2's own tokenizer.json has) or "llama-bpe" (Llama 3's words, <|begin_of_text|>
/// before them unless the file says otherwise); or SentencePiece's BPE ("llama": Llama 2 and its
/// like), through the library, from the pieces, scores and types. Throws Error naming the file and
/// what in it is not implemented.
std::unique_ptr<Tokenizer> read_gguf_tokenizer(const std::filesystem::path& file);

}  // namespace mtlora
