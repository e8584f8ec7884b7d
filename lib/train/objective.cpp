#include "lib/train/objective.h"

#include "lib/nn/loss.h"
#include "lib/nn/token_loss.h"
#include "lib/train/device_batch.h"

namespace mtlora {

int64_t Objective::terms_of(const std::vector<std::vector<Item>>& micro_batches) const {
  int64_t sum = 0;
  for (const std::vector<Item>& items : micro_batches)
    for (const Item& item : items) sum += terms(item.index);
  return sum;
}

Batch Objective::batch(const std::vector<Item>& items) const {
  return on_device(collate(items), device());
}

Batch LabelObjective::collate(const std::vector<Item>& items) const {
  return mtlora::collate(set_, items, collate_);
}

Tensor LabelObjective::loss(const Batch& batch, const Pass& pass) const {
  const Tensor logits = model_.logits(batch, pass);
  return collate_.is_regression ? regression_loss(logits, batch.labels)
                                : classification_loss(logits, batch.labels, smoothing_);
}

Batch TextObjective::collate(const std::vector<Item>& items) const {
  return collate_text(set_, items);
}

Tensor text_loss(LanguageModel& model, const Batch& batch, const Pass& pass, double smoothing) {
  AttendWithin attend(batch.packing);
  const Tensor hidden = model.hidden(batch.ids, batch.positions, attend, pass);
  return token_loss(hidden.index_select(0, batch.targets), model.head_weight(), batch.labels,
                    smoothing);
}

Tensor TextObjective::loss(const Batch& batch, const Pass& pass) const {
  return text_loss(model_, batch, pass, smoothing_);
}

}  // namespace mtlora
