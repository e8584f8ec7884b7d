// A linear layer with named parts and a slot for one adapter. Models are built from these, so
// adapting a model never replaces a module: it fills slots.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lib/nn/pass.h"

namespace mtlora {

/// Rows begin .. end of a weight that are a layer of their own in the checkpoint: "query" 0..768.
struct Part {
  std::string name;
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  bool contains(const Part& other) const { return other.begin >= begin && other.end <= end; }
};

/// The map x -> x Wᵀ + b. weight [out, in]; bias [out] or undefined.
struct Affine {
  Tensor weight, bias;
};

/// The same as an operation wants it: the weight may have been rearranged for the product.
struct LinearMap {
  backend::Weight weight;
  Tensor bias;
};

/// Two trained factors of one change, down [rank, in] and up [out, rank], which comes from their
/// product alone; but for MTLoRA, whose T stands between them.
struct FactorPair {
  Tensor down, up;
};

/// The change of one part as LoRA writes it: ΔW = scale · up down (+ a change of the bias), and
/// with a magnitude [out] the weight is magnitude ⊙ (W + ΔW) / ‖W + ΔW‖, row by row (DoRA).
struct LowRankForm {
  Part part;
  Tensor down, up;  ///< [rank, in], [out, rank]
  double scale = 1;
  Tensor bias, magnitude;  ///< [out] or undefined
};

/// A trainable change to the given parts of one linear layer.
class Adapter : public torch::nn::Module {
 public:
  /// The adapted output [tokens, out] of x [tokens, in], for the rows begin .. end of the weight
  /// (out = end - begin; a range always holds whole parts). `base` is the layer's own map, rows
  /// begin .. end.
  virtual Tensor forward(const Tensor& x, const LinearMap& base, const Part& range,
                         const Pass& pass) = 0;

  /// The plain map equal to forward() in evaluation, computed in the type of `base` (fp32 or
  /// double), of all rows.
  virtual Affine merged(const Affine& base) const = 0;

  /// The base's weights are there, in the compute type: what starts from them is set now.
  virtual void meet(const Affine&) {}
  /// For optimizers that move both factors of a product together; none where there is no such pair.
  virtual std::vector<FactorPair> factor_pairs() const { return {}; }
  /// The change in LoRA's form, part by part; nothing where it has none.
  virtual std::vector<LowRankForm> low_rank_form() const { return {}; }
};

struct LinearShape {
  int64_t in = 0, out = 0;
  bool has_bias = true;
  int64_t heads = 0;  ///< of the attention whose queries, keys, values or output it makes; else 0
};

/// What the parts of a linear layer are in the checkpoint.
enum class PartsAre {
  layers,  ///< layers of their own, side by side: "self.query", "self.key", "self.value"
  rows,    ///< rows of one layer, found below its path: GPT-2's "attn.c_attn.query"
};

class LinearImpl : public torch::nn::Module {
 public:
  explicit LinearImpl(LinearShape shape);
  /// Several layers of equal input as one: parts.size() parts of shape.out / parts.size() rows
  /// each.
  LinearImpl(LinearShape shape, const std::vector<std::string>& part_names,
             PartsAre are = PartsAre::layers);
  /// The same with the rows of each part.
  LinearImpl(LinearShape shape, std::vector<Part> parts, PartsAre are);

  /// x [tokens, in] -> [tokens, out]
  Tensor forward(const Tensor& x, const Pass& pass) {
    return forward_parts(x, 0, parts_.size(), pass);
  }
  /// Only parts first .. last (exclusive): x [tokens, in] -> [tokens, their rows]
  Tensor forward_parts(const Tensor& x, size_t first, size_t last, const Pass& pass);

  /// Puts an adapter into the slot. The base is frozen or not by the caller.
  void attach(std::shared_ptr<Adapter> adapter);
  /// Folds the adapter into the weights, in fp32 (or double), and empties the slot.
  void merge();
  /// Says that what is frozen, and where it lies, will not change any more, so that it may be
  /// rearranged once for all products to come.
  void settle();

  const LinearShape& shape() const { return shape_; }
  const std::vector<Part>& parts() const { return parts_; }
  /// Whether there are several parts.
  bool is_fused() const { return parts_.size() > 1; }
  PartsAre parts_are() const { return parts_are_; }
  const std::shared_ptr<Adapter>& adapter() const { return adapter_; }

  Tensor weight, bias;  ///< [out, in], [out]

 private:
  LinearMap map_of(const Part& range);

  LinearShape shape_;
  std::vector<Part> parts_;
  PartsAre parts_are_;
  std::shared_ptr<Adapter> adapter_;

  bool is_settled_ = false;
  Tensor settled_bias_;
  std::mutex packing_;                                             // shards ask at the same time
  std::map<std::pair<int64_t, int64_t>, backend::Weight> packed_;  // by their rows
};
TORCH_MODULE(Linear);

/// Parts of the given names and rows, one after another.
std::vector<Part> parts_of(const std::vector<std::pair<std::string, int64_t>>& names_and_rows);

}  // namespace mtlora
