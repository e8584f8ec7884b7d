// The weights of a GGUF file under the names that they have in Hugging Face transformers, as
// llama.cpp's converter found them.
// Source: llama.cpp (https://github.com/ggml-org/llama.cpp), gguf-py tensor_mapping.py and
// convert_hf_to_gguf.py, LlamaModel.permute.
#pragma once

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Opens a GGUF file of architecture llama: tensors "model.embed_tokens.weight",
/// "model.layers.0.self_attn.q_proj.weight", … of shape [out, in], float32. Every read()
/// dequantises into memory of its own, the rows of query and key in Hugging Face's order (llama.cpp
/// keeps the two of a rotated pair side by side). Throws Error that names all tensors whose name or
/// type is not known.
std::unique_ptr<WeightFile> open_gguf(const std::filesystem::path& file);

}  // namespace mtlora
