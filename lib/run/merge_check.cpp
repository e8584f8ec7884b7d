// Folding the adapters into the weights, with the outputs compared before and after.

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/nn/attend.h"
#include "lib/run/export.h"
#include "lib/train/collate.h"
#include "lib/train/device_batch.h"

namespace mtlora {
namespace {

// Rounding in fp32 moves logits by 1e-7 to 1e-5 of the largest, growing with depth; weights rounded
// to bf16 (2⁻⁹ each) by some 1e-2, a scale or a transposition gone wrong by far more. Between lies
// the bound.
constexpr double kBound = 1e-3;

// Eight sequences of the same tokens at every call, up to 32 tokens long.
EncodedSet fixed_texts(const Model& model) {
  Random random(name_key("merge_check"));
  const auto vocabulary = static_cast<uint64_t>(model.vocab_size());
  std::vector<EncodedExample> examples;
  for (int64_t i = 1; i <= 8; ++i) {
    const auto length = static_cast<size_t>(std::min(4 * i, model.longest()));
    std::vector<int32_t> ids(length), segments(length, 0);
    for (int32_t& id : ids) id = static_cast<int32_t>(random.below(vocabulary));
    examples.push_back({ids, segments, 0.0});
  }
  return EncodedSet(examples);
}

// [sequences, outputs] of a classifier, [tokens, vocab] of a language model.
Tensor logits_of(const Session& s, const EncodedSet& set) {
  std::vector<Item> items(static_cast<size_t>(set.size()));
  for (size_t i = 0; i < items.size(); ++i)
    items[i] = {static_cast<int64_t>(i), static_cast<int64_t>(i)};
  const Batch batch = on_device(collate(set, items, {}), s.model().device());
  if (s.classifier) return s.classifier->logits(batch, {});
  AttendWithin attend(batch.packing);
  return s.language_model->logits(s.language_model->hidden(batch.ids, batch.positions, attend, {}));
}

}  // namespace

double merge_checked(const Session& s) {
  const EncodedSet set = fixed_texts(s.model());
  const Tensor before = logits_of(s, set).to(torch::kDouble);
  merge_adapters(s.model());
  const Tensor after = logits_of(s, set).to(torch::kDouble);
  const double largest = before.abs().max().item<double>();
  const double moved = (after - before).abs().max().item<double>() / largest;
  if (!(moved <= kBound))  // nor may it be NaN
    fail(
        "the merged model is not the trained one: its logits move by {:.1e} of the largest, more "
        "than the {:.0e} that rounding explains; use the checkpoint itself, or --format peft",
        moved, kBound);
  return moved;
}

}  // namespace mtlora
