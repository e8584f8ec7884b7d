// What the formats of export share. For the files of this folder only.
#pragma once

#include <filesystem>

#include "lib/run/session.h"

namespace mtlora {

/// A tensor of the model as the checkpoint of its family has it: fp32, weights that are stored as
/// [in, out] turned.
Tensor as_stored(const Session& session, const NamedTensor& tensor);

/// How far the logits of a few fixed token sequences move when the adapters are folded into the
/// weights, which this does: the largest difference over the largest logit. Throws Error where it
/// is more than rounding can do.
double merge_checked(const Session& session);

/// adapter_config.json and adapter_model.safetensors as PEFT 0.21 reads them. Throws Error for what
/// PEFT cannot hold exactly. `base` is what it calls its base model; "": the model's path.
void write_peft(const Session& session, const std::string& base,
                const std::filesystem::path& folder);

}  // namespace mtlora
