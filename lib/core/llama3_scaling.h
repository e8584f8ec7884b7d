// How Llama 3.1 stretches the rotary frequencies that Llama 3 was trained with.
// Source: Hugging Face transformers, modeling_rope_utils.py, _compute_llama3_parameters.
#pragma once

namespace mtlora {

/// "rope_scaling" of rope_type llama3: long wave lengths are stretched by `factor`, short ones
/// kept, those between blended.
struct Llama3Scaling {
  double factor = 8;                                           ///< "factor"
  double low_frequency_factor = 1, high_frequency_factor = 4;  ///< "low_freq_factor", "high_…"
  double original_positions = 8192;  ///< "original_max_position_embeddings": when trained
};

/// A frequency in radians a position, scaled.
double scaled_frequency(double frequency, const Llama3Scaling& scaling);

}  // namespace mtlora
