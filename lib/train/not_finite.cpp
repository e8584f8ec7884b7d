#include "lib/train/not_finite.h"

#include <algorithm>
#include <cmath>

#include "lib/nn/names.h"
#include "lib/train/broken_run.h"

namespace mtlora {
namespace {

// Never "-nan": the sign of a nan says nothing.
std::string text_of(double number) {
  return std::isnan(number) ? "nan" : fmt::format("{}", number);
}

bool is_finite(const Tensor& x) {
  return at::isfinite(x).all().item<bool>();
}

// Keeps the first layer that it sees go wrong.
class FirstBad final : public LayerWatch {
 public:
  void saw(const LinearImpl& layer, int64_t begin, const Tensor& output) override {
    if (layer_) return;
    for (size_t i = 0; i < layer.parts().size(); ++i) {
      const Part& part = layer.parts()[i];
      if (part.begin < begin || part.end > begin + output.size(1)) continue;
      if (is_finite(output.narrow(1, part.begin - begin, part.size()))) continue;
      layer_ = &layer;
      part_ = i;
      return;
    }
  }
  std::string path_in(Model& model) const {
    for (const Slot& slot : linear_slots(model))
      if (slot.linear == layer_ && slot.part == part_) return slot.path;
    return "";
  }

 private:
  const LinearImpl* layer_ = nullptr;
  size_t part_ = 0;
};

}  // namespace

std::string first_bad_layer(const Objective& objective,
                            const std::vector<std::vector<Item>>& micro_batches, Pass pass) {
  const torch::NoGradGuard no_grad;
  FirstBad watch;
  pass.watch = &watch;
  for (const auto& items : micro_batches) {
    if (items.empty()) continue;
    const Batch batch = objective.batch(items);
    pass.rows = batch.rows;
    objective.loss(batch, pass);
    if (std::string path = watch.path_in(objective.model()); !path.empty()) return path;
  }
  return "";
}

std::string first_bad_gradient(const std::vector<Parameter>& parameters,
                               const std::vector<Tensor>& gradients) {
  for (size_t i = gradients.size(); i-- > 0;)
    if (gradients[i].defined() && !is_finite(gradients[i])) return parameters[i].name;
  return "";
}

void report_not_finite(const NotFinite& found,
                       const std::vector<std::vector<Item>>& micro_batches) {
  std::vector<int64_t> indices;
  for (const auto& items : micro_batches)
    for (const Item& item : items) indices.push_back(item.index);
  std::sort(indices.begin(), indices.end());
  const std::string norm =
      found.gradient_norm ? " and the gradients' norm " + text_of(*found.gradient_norm) : "";
  const std::string where =
      found.where.empty() ? "" : fmt::format(" It begins at {}.", found.where);
  throw BrokenRun(fmt::format(
      "step {}: the loss is {}{}: training has diverged.{} Examples of this step (counted from 0 "
      "in the training set): {}. A smaller optimizer.lr or a longer schedule.warmup is the usual "
      "cure",
      found.step + 1, text_of(found.loss), norm, where, fmt::join(indices, ", ")));
}

}  // namespace mtlora
