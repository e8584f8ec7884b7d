// pytorch_model.bin: a zip archive of one pickle and the bytes of each storage it names.
// Source: torch/serialization.py, _save; the pickle is read as data, never run (see pickle.h).
#pragma once

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Opens what torch.save wrote of a dictionary of tensors. A tensor is read as a contiguous copy;
/// only one that repeats elements of its storage (expand) stays a view of it. Throws Error for
/// anything else in it, for code, for tensors outside their storage, and for the format from before
/// PyTorch 1.6.
std::unique_ptr<WeightFile> open_torch(const std::filesystem::path& file);

}  // namespace mtlora
