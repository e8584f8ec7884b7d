// Whether PEFT's adapter and a model go together, and the adapter of ours that computes the same.
// For the files of this folder only.
#pragma once

#include "lib/run/peft_folder.h"
#include "lib/run/session.h"

namespace mtlora {

/// Throws Error listing every tensor that has no place in the session's model, and every layer or
/// module of which adapter_config.json says something else than the tensors.
void check_peft_fits(const PeftFolder& peft, const Session& session);

/// Whether a tensor is a buffer of other versions of transformers whose name ends as a bias does,
/// so that it is among "all" biases.
bool is_unused_buffer(const Family& family, const std::string& name);

/// The options of an adapter with a place for every tensor of a folder that fits: a
/// configuration's "adapter". Throws Error where there is none.
Json peft_adapter_options(const PeftFolder& peft, const Session& session);

}  // namespace mtlora
