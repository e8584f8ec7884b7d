// Weights in several files, listed by an index.
#pragma once

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Opens `index` (model.safetensors.index.json, pytorch_model.bin.index.json) and every file it
/// names. Throws Error where files are missing or hold other tensors than it says.
std::unique_ptr<WeightFile> open_sharded(const std::filesystem::path& index);

}  // namespace mtlora
