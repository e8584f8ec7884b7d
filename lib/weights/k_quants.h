// ggml's blocks of 256 elements: parts of 16 or 32 with scales of their own, of four to eight bits.
// Source: ggml, ggml-common.h (the layouts) and ggml-quants.c, dequantize_row_*.
#pragma once

#include "lib/weights/ggml_block.h"

namespace mtlora::ggml {

/// One block to its 256 floats, in ggml's order of operations.
void block_q2_k(const Byte* in, float* out);
void block_q3_k(const Byte* in, float* out);
void block_q4_k(const Byte* in, float* out);
void block_q5_k(const Byte* in, float* out);
void block_q6_k(const Byte* in, float* out);
void block_iq4_xs(const Byte* in, float* out);

/// What the 16 values of four bits stand for in IQ4_NL and IQ4_XS.
extern const float kIq4Values[16];

}  // namespace mtlora::ggml
