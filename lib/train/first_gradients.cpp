#include "lib/train/first_gradients.h"

#include "lib/nn/names.h"

namespace mtlora {
namespace {

// Frozen weights that take gradients for as long as this lives.
class Thawed {
 public:
  explicit Thawed(std::vector<LinearImpl*> layers) : layers_(std::move(layers)) {
    for (LinearImpl* layer : layers_) {
      was_trained_.push_back(layer->weight.requires_grad());
      turn(*layer, true);
    }
  }
  ~Thawed() {
    for (size_t i = 0; i < layers_.size(); ++i) turn(*layers_[i], was_trained_[i]);
  }
  Thawed(const Thawed&) = delete;
  Thawed& operator=(const Thawed&) = delete;

 private:
  static void turn(LinearImpl& layer, bool takes_gradients) {
    layer.weight.set_requires_grad(takes_gradients);
    layer.settle();
  }

  std::vector<LinearImpl*> layers_;
  std::vector<bool> was_trained_;
};

}  // namespace

std::vector<torch::Tensor> weight_gradients(torch::nn::Module& model, const Objective& objective,
                                            const std::vector<std::vector<Item>>& micro_batches) {
  std::vector<LinearImpl*> layers;
  std::vector<torch::Tensor> weights;
  for (const Slot& slot : linear_slots(model)) {
    if (slot.part != 0 || !slot.linear->adapter()) continue;
    layers.push_back(slot.linear);
    weights.push_back(slot.linear->weight);
  }
  const Thawed thawed(layers);
  const torch::AutoGradMode with_gradients(true);
  const auto terms = static_cast<double>(objective.terms_of(micro_batches));
  std::vector<torch::Tensor> sums;
  for (const std::vector<Item>& items : micro_batches) {
    const Batch batch = objective.batch(items);
    const torch::Tensor loss = objective.loss(batch, {false, 0, batch.rows}) / terms;
    const auto gradients = torch::autograd::grad({loss}, weights);
    if (sums.empty())
      sums = gradients;
    else
      for (size_t i = 0; i < sums.size(); ++i) sums[i] = sums[i] + gradients[i];
  }
  return sums;
}

void initialise_from(const std::vector<std::vector<Item>>& micro_batches, torch::nn::Module& model,
                     const Objective& objective, AdapterSet& set) {
  if (set.wants_weight_gradients())
    set.initialise(weight_gradients(model, objective, micro_batches));
}

}  // namespace mtlora
