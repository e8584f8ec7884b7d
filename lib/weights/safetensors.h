// safetensors: [8 bytes: length of the header] [header: JSON {name: {dtype, shape, data_offsets}}]
// [the tensors' bytes, one after another], little-endian.
// Source: https://github.com/huggingface/safetensors, README, "Format".
#pragma once

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Opens and checks all of the header, so that every tensor lies whole inside the file. Tensors are
/// views of the mapped file where their bytes are aligned, copies otherwise. Throws Error.
std::unique_ptr<WeightFile> open_safetensors(const std::filesystem::path& file);

/// Writes the tensors in the given order, each as it lies contiguous on the CPU; equal input gives
/// equal bytes. The file is fsynced and has all of its new content or its old. Throws Error where
/// it cannot be written, or a name stands twice.
void write_safetensors(const std::filesystem::path& file, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace mtlora
