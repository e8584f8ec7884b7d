// The operations under our models, on token-major activations [tokens, width] in float32 or
// bfloat16 (double too, on the plain path), with their gradients. Each runs in the calling thread,
// shares nothing, and takes one of three implementations: our AVX-512 kernels (cpu/features.h), our
// CUDA kernels where the tensors are on such a device (on_cuda.h), or ordinary ATen operations,
// which are also the reference that the kernels are tested against.
//
// LibTorch has functions of the same names that argument-dependent lookup finds: write
// backend::gelu(x).
//
// Gradients are computed for those inputs only that require them. There are no second derivatives.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lib/backend/weight.h"

namespace mtlora::backend {

using at::Tensor;

/// Dropout as a function of keys (dropout.h). None where p is 0 or `rows` is undefined.
struct Dropout {
  double p = 0;      ///< in [0, 1)
  uint64_t key = 0;  ///< of seed, step and site
  Tensor rows;       ///< [tokens] int64: the identity of each row, e.g. a hash of example and token
  /// int64 [1] on a CUDA device, or undefined. Where defined, the key of seed and step is there,
  /// and the key is combine() of it and `site`: work recorded once is replayed with the keys of
  /// each step.
  Tensor step_key = {};
  uint64_t site = 0;
};

/// Where the sequences of a packed batch lie: sequence i is rows offsets[i] .. offsets[i + 1]. Rows
/// after the last offset are filler: zeros come out of attention there, and no gradient.
struct Packing {
  std::shared_ptr<const std::vector<int32_t>> offsets;  ///< [sequences + 1], from 0
  int64_t longest = 0;                                  ///< tokens of the longest sequence, or more
  Tensor device_offsets =
      {};  ///< the same offsets on the CUDA device, int32; undefined: not there yet
};

/// Whether `device` is treated as one that is apart from the CPU: filler among tokens and targets,
/// recorded passes, tables kept there. A CUDA device is; where the tests emulate one, so is the CPU
/// while the kernels are in use.
bool is_apart(at::Device device);

struct AttentionShape {
  int64_t heads;
  double scale;  ///< of the scores, e.g. 1 / sqrt(head)
};

/// Bidirectional attention of each sequence with itself. qkv [tokens, 3 · width]: q | k | v, each
/// its heads one after the other. Returns [tokens, width]. Softmax and sums are fp32.
Tensor self_attention(const Tensor& qkv, const Packing& packing, const AttentionShape& shape,
                      const Dropout& dropout);

/// Attention of one query a sequence: q [sequences, width], kv [tokens, 2 · width]: k | v. The rows
/// of `dropout` are those of q. Returns [sequences, width].
Tensor pooled_attention(const Tensor& q, const Tensor& kv, const Packing& packing,
                        const AttentionShape& shape, const Dropout& dropout);

/// x [tokens, width] with channels dropped and the rest scaled by 1 / (1 - p).
Tensor dropout(const Tensor& x, const Dropout& dropout);

/// The factors that dropout() multiplies by: fp32 [tokens, channels], 0 or 1 / (1 - p); p must not
/// be 0.
Tensor dropout_mask(const Dropout& dropout, int64_t channels);

/// Gain and shift of a LayerNorm, fp32 [width].
struct Affine {
  Tensor gamma, beta;
  double eps;
};

/// LayerNorm(x), [tokens, width]; statistics are fp32.
Tensor layer_norm(const Tensor& x, const Affine& affine);

/// One value [tokens, width] for both branches of what comes next: into its layers, and around
/// them to the residual sum. On a device two tensors of the same memory, so that it adds up their
/// gradients where it reads them; they are never written in place.
struct Branches {
  Tensor into, around;
};

/// LayerNorm(residual + dropout(x)).
Branches dropout_add_norm(const Tensor& x, const Tensor& residual, const Affine& affine,
                          const Dropout& dropout);

/// x Φ(x), the exact GELU (Hendrycks & Gimpel 2016, arXiv 1606.08415).
Tensor gelu(const Tensor& x);

/// x Wᵀ + bias: x [tokens, in], weight [out, in], bias fp32 [out] or undefined; [tokens, out] in
/// x's type. A weight of another type than x (fp32, trained) is cast.
Tensor linear(const Tensor& x, const Weight& weight, const Tensor& bias);

/// A low-rank change to ranges of a linear's output: y[:, out] += s (x̃ aᵀ)[:, r] bᵀ for every part.
/// Parts may share ranks, not outputs.
struct LowRank {
  struct Part {
    int64_t out_begin, out_end, r_begin, r_end;
    Tensor b;  ///< fp32 [out_end - out_begin, r_end - r_begin]
  };
  std::vector<Tensor> a;  ///< fp32 [ranks, in] each, R ranks together: row after row what r counts
  std::vector<Part> parts;
  Dropout dropout;   ///< of the adapter's input: x̃ = dropout(x)
  double scale = 1;  ///< s
};

/// linear() with a low-rank change, as one node of the graph.
Tensor linear_low_rank(const Tensor& x, const Weight& weight, const Tensor& bias,
                       const LowRank& low_rank);

/// Compares the kernels of a device with the plain path of the CPU on a small case: in one type, or
/// in both. Where they disagree, warns and does without them in the whole process. True if they
/// agree or are not in use. A few ms; on a GPU, where each kernel is loaded when it is first used,
/// 0.2 s a type.
bool self_test(at::Device device = at::kCPU, std::optional<at::ScalarType> type = {});

}  // namespace mtlora::backend
