// ggml's blocks of few-bit numbers to float: each block of 32 or 256 has its scale (and minimum) as
// a half, w = d · q or d · q + m; the "K" types scale the scales of 16 or 32 elements once more.
// Source: ggml (https://github.com/ggml-org/ggml), ggml-common.h and ggml-quants.c
// (dequantize_row_*); the numbers are those of gguf-py 0.19.0, quants.py, bit for bit.
#pragma once

#include <string>
#include <string_view>

#include "lib/core/gguf_types.h"

namespace mtlora {

/// Whether dequantize() has the type: F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K,
/// IQ4_NL, IQ4_XS.
bool can_dequantize(const GgmlType& type);

/// The names of those types, for messages.
std::string dequantizable_types();

/// Writes the elements of `bytes`, whole blocks of a type that can_dequantize(), to `values`.
void dequantize(const GgmlType& type, std::string_view bytes, float* values);

}  // namespace mtlora
