// Disentangled self-attention over un-padded tokens, with what its positions need.
// He et al. 2021, arXiv:2006.03654, section 3.1; names and numbers as Hugging Face transformers'
// DisentangledSelfAttention of DeBERTa-v2.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <map>
#include <memory>
#include <vector>

#include "lib/models/deberta_config.h"
#include "lib/nn/dropout.h"
#include "lib/nn/linear.h"
#include "lib/nn/norm.h"
#include "lib/nn/pass.h"

namespace mtlora {

/// The relative positions of one pass, the same for every layer.
struct RelativeTable {
  Tensor embeddings;  ///< [rows, width]: those rows that the pass's sequences read; or undefined
  Pass pass;          ///< of these rows
  std::shared_ptr<const std::vector<int32_t>> row_of;  ///< see backend::RelativePositions
  Tensor device_row_of;                                ///< likewise
};

/// The table of relative positions that all layers share. Its tensors are registered by the
/// encoder.
class RelativeEmbeddings {
 public:
  explicit RelativeEmbeddings(const DebertaConfig& config);
  void register_in(torch::nn::Module& encoder);

  /// Only the rows that sequences of at most `longest` tokens read. Throws where that is more than
  /// max_position_embeddings.
  RelativeTable at(int64_t longest, const Pass& pass);

 private:
  int32_t end_of_rows(int32_t begin, int32_t end) const;
  Tensor on_device(int64_t longest, const std::vector<int32_t>& row_of);

  RelativeSpan span_;
  int64_t width_, reach_;
  Tensor weight_;  // [rows, width]
  LayerNorm norm_{nullptr};
  std::vector<int32_t> row_of_;                 // of every distance
  std::map<int64_t, Tensor> row_of_on_device_;  // by the longest sequence
};

/// "attention.self"
class DebertaSelfAttentionImpl : public torch::nn::Module {
 public:
  explicit DebertaSelfAttentionImpl(const DebertaConfig& config);
  /// [tokens, width] -> the same
  Tensor forward(const Tensor& x, const RelativeTable& table, const Batch& batch, const Pass& pass);
  /// Only of the first tokens' queries: x [tokens, width], first [sequences, width], its rows of
  /// them -> [sequences, width]
  Tensor forward_first(const Tensor& x, const Tensor& first, const RelativeTable& table,
                       const Batch& batch, const Pass& pass);

 private:
  backend::RelativePositions project(const RelativeTable& table, torch::ScalarType type);

  backend::AttentionShape shape_;
  bool c2p_, p2c_;
  Linear qkv_, position_key_{nullptr}, position_query_{nullptr};
  DropoutSite dropout_, position_dropout_;
};
TORCH_MODULE(DebertaSelfAttention);

}  // namespace mtlora
