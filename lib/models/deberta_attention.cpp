#include "lib/models/deberta_attention.h"

#include <algorithm>
#include <tuple>

#include "lib/core/error.h"
#include "lib/nn/names.h"

namespace mtlora {

RelativeEmbeddings::RelativeEmbeddings(const DebertaConfig& c)
    : span_(c.span), width_(c.hidden_size), reach_(c.max_position_embeddings) {
  if (!c.relative_attention) return;
  weight_ = torch::empty({span_.rows(), width_});
  if (c.norm_rel_ebd) norm_ = LayerNorm(width_, c.layer_norm_eps);
  row_of_ = relative_rows(span_, reach_);
}

void RelativeEmbeddings::register_in(torch::nn::Module& encoder) {
  if (!weight_.defined()) return;
  weight_ = name_group(encoder, "rel_embeddings").register_parameter("weight", weight_);
  if (norm_) encoder.register_module("LayerNorm", norm_);
}

RelativeTable RelativeEmbeddings::at(int64_t longest, const Pass& pass) {
  if (!weight_.defined()) return {};
  if (longest > reach_) fail("a text of {} tokens; the model takes at most {}", longest, reach_);
  const auto centre = row_of_.begin() + (reach_ - 1);
  auto row_of = std::make_shared<std::vector<int32_t>>(centre - (longest - 1), centre + longest);
  const auto [least, most] = std::minmax_element(row_of->begin(), row_of->end());
  const int32_t begin = *least, end = end_of_rows(begin, *most + 1);
  for (int32_t& row : *row_of) row -= begin;
  Tensor rows = weight_.narrow(0, begin, end - begin);
  if (norm_) rows = norm_(rows);
  const auto here = torch::TensorOptions(torch::kLong).device(rows.device());
  return {rows,
          {pass.training, pass.key, torch::arange(begin, end, here), pass.step_key},
          row_of,
          on_device(longest, *row_of)};
}

// A device multiplies matrices of eight columns, or a multiple of that, faster: there are rows more
// that no pair of tokens reads, where the table has some.
int32_t RelativeEmbeddings::end_of_rows(int32_t begin, int32_t end) const {
  const int32_t more = (8 - (end - begin) % 8) % 8;
  return backend::is_apart(weight_.device()) && end + more <= span_.rows() ? end + more : end;
}

// Kept: work that is recorded cannot bring it there.
Tensor RelativeEmbeddings::on_device(int64_t longest, const std::vector<int32_t>& row_of) {
  if (!backend::is_apart(weight_.device())) return {};
  Tensor& kept = row_of_on_device_[longest];
  if (!kept.defined()) kept = torch::tensor(row_of, torch::kInt).to(weight_.device());
  return kept;
}

DebertaSelfAttentionImpl::DebertaSelfAttentionImpl(const DebertaConfig& c)
    : shape_{c.num_attention_heads, c.scale()},
      c2p_(c.relative_attention && c.c2p),
      p2c_(c.relative_attention && c.p2c),
      qkv_(
          LinearShape{
              .in = c.hidden_size, .out = 3 * c.hidden_size, .heads = c.num_attention_heads},
          std::vector<std::string>{"query_proj", "key_proj", "value_proj"}),
      dropout_(c.attention_probs_dropout_prob),
      position_dropout_(c.hidden_dropout_prob) {
  register_module("qkv", qkv_);
  register_module("dropout", dropout_);
  register_module("pos_dropout", position_dropout_);
  if (c.share_att_key) return;
  const LinearShape square{c.hidden_size, c.hidden_size};
  if (c2p_) position_key_ = register_module("pos_key_proj", Linear(square));
  if (p2c_) position_query_ = register_module("pos_query_proj", Linear(square));
}

// Once a layer and pass, whatever the number of sequences; where positions are projected as the
// content is, with its adapters.
backend::RelativePositions DebertaSelfAttentionImpl::project(const RelativeTable& table,
                                                             torch::ScalarType type) {
  backend::RelativePositions positions{{}, {}, table.row_of, table.device_row_of};
  if (!c2p_ && !p2c_) return positions;
  const Pass& pass = table.pass;
  const Tensor x = position_dropout_(table.embeddings.to(type), pass);
  if (position_key_) positions.key = position_key_(x, pass);
  if (position_query_) positions.query = position_query_(x, pass);
  if (position_key_ || position_query_) return positions;
  const Tensor projected = qkv_->forward_parts(x, p2c_ ? 0 : 1, c2p_ ? 2 : 1, pass);
  if (p2c_ && c2p_)
    std::tie(positions.query, positions.key) = backend::column_halves(projected);
  else
    (p2c_ ? positions.query : positions.key) = projected;
  return positions;
}

Tensor DebertaSelfAttentionImpl::forward(const Tensor& x, const RelativeTable& table,
                                         const Batch& batch, const Pass& pass) {
  return backend::disentangled_attention(qkv_(x, pass), project(table, x.scalar_type()),
                                         batch.packing, shape_, dropout_->at(pass));
}

Tensor DebertaSelfAttentionImpl::forward_first(const Tensor& x, const Tensor& first,
                                               const RelativeTable& table, const Batch& batch,
                                               const Pass& pass) {
  const Pass of_first = pass.at(batch.first);
  const Tensor q = qkv_->forward_parts(first, 0, 1, of_first);
  const Tensor kv = qkv_->forward_parts(x, 1, 3, pass);
  return backend::disentangled_pooled_attention(q, kv, project(table, x.scalar_type()),
                                                batch.packing, shape_, dropout_->at(of_first));
}

}  // namespace mtlora
