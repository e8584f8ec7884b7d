// A checkpoint: a folder with everything that was trained and everything that a run needs to go on
// as if it had never stopped. It is written beside, synced, and put in place in one step: half a
// one is never seen.
//
//   config.json          the resolved configuration
//   adapter.safetensors  everything trained, the head included, under its checkpoint names, fp32
//   state.safetensors    the optimizer's tensors
//   state.json           step, best score, …; the fingerprint of the base weights
//   tokenizer files      copies
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/json.h"
#include "lib/nn/names.h"
#include "lib/text/tokenizer.h"
#include "lib/weights/weight_file.h"

namespace mtlora {

struct CheckpointContent {
  Json config, state;  ///< state holds "fingerprint"
  NamedTensors trained, optimizer;
  const Tokenizer* tokenizer = nullptr;  ///< none: its files are left out
};

/// Writes `folder` (replacing what is there). Throws Error; then the old folder is as it was.
void save_checkpoint(const std::filesystem::path& folder, const CheckpointContent& content);

/// Throws Error unless `folder` holds a checkpoint.
void require_checkpoint(const std::filesystem::path& folder);

/// Writes the tensors of a checkpoint's file into `into`, by name. Throws Error listing every
/// tensor that is missing, unexpected (unless a pattern of `ignored` fits it) or of another shape;
/// nothing has been written then.
void restore_tensors(const std::filesystem::path& file, const NamedTensors& into,
                     const std::vector<std::string>& ignored = {});
/// The same of a file that is open.
void restore_tensors(const WeightFile& source, const NamedTensors& into,
                     const std::vector<std::string>& ignored = {});

/// What `trained` is called in a checkpoint.
NamedTensors checkpoint_tensors(const std::vector<NamedTensor>& trained);

}  // namespace mtlora
