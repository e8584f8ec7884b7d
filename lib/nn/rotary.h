// Rotary position embeddings: the angles by which queries and keys are turned.
// Su et al. 2021, arXiv:2104.09864, section 3.4.2; the scalings as Hugging Face transformers'
// modeling_rope_utils.py.
#pragma once

#include <torch/types.h>

#include <string>

#include "lib/backend/decoder_ops.h"
#include "lib/core/llama3_scaling.h"

namespace mtlora {

struct RotaryOptions {
  double base = 10000;              ///< θ: "rope_theta"
  std::string scaling = "default";  ///< default, linear, llama3
  double factor = 1;                ///< linear: how much longer than trained
  Llama3Scaling llama3;             ///< llama3
};

/// cos and sin, fp32 [positions, head / 2], of position · θ^(-2i / head), scaled.
backend::Rotary rotary_table(int64_t positions, int64_t head, const RotaryOptions& options);

}  // namespace mtlora
