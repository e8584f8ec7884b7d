// What this CPU can do, and which of the two implementations of every operation runs.
#pragma once

namespace mtlora::backend {

bool has_avx512();       ///< AVX-512 F, BW, DQ and VL
bool has_avx512_bf16();  ///< has_avx512() and the bf16 dot product
bool has_amx_bf16();     ///< has_avx512_bf16(), and matrix tiles of bf16 that Linux lets us use

/// Whether bf16 is faster than fp32 here: where the hardware multiplies it faster. A CPU that has
/// matrix tiles is slow at the bf16 dot product without them: where the system keeps them from us,
/// fp32 trains 1.3 times as fast (measured on a Xeon).
bool prefers_bf16();

/// plain: ordinary ATen operations and their own autograd, any CPU, also double.
/// avx512: our kernels, for float32 and bfloat16.
enum class Path { plain, avx512 };

/// The path in use: avx512 where the CPU has it, unless the environment variable MTLORA_BACKEND is
/// "plain" or use_path() said otherwise. Throws Error when MTLORA_BACKEND is anything but "plain"
/// or "avx512", or asks for what the CPU lacks.
Path path();

/// Chooses the path for the whole process. Throws Error when the CPU lacks it.
void use_path(Path chosen);

}  // namespace mtlora::backend
