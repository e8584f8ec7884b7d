#include "lib/adapters/rank_budget.h"

#include <cmath>

namespace mtlora {

int64_t BudgetSchedule::budget(int64_t step) const {
  if (step <= init_steps) return first;
  if (step > total_steps - final_steps) return target;
  const auto done = static_cast<double>(step - init_steps);
  const auto whole = static_cast<double>(total_steps - final_steps - init_steps);
  const auto removable = static_cast<double>(first - target);
  return static_cast<int64_t>(static_cast<double>(target) +
                              removable * std::pow(1 - done / whole, 3));
}

bool BudgetSchedule::masks(int64_t step) const {
  if (step <= init_steps) return false;
  return step > total_steps - final_steps || step % mask_interval == 0;
}

void RankBudget::add(const Terms& terms) {
  terms_.push_back({terms.path, {terms.a, {}, {}}, {terms.b, {}, {}}, {terms.e, {}, {}}});
}

int64_t RankBudget::first() const {
  int64_t sum = 0;
  for (const Change& change : terms_) sum += change.e.value.size(0);
  return sum;
}

// Not before: the model may have been moved to a device since its changes were made.
void RankBudget::begin() {
  for (Change& change : terms_)
    for (Tracked* of : {&change.a, &change.b, &change.e}) {
      if (of->sensitivity.defined()) continue;
      of->sensitivity = torch::zeros_like(of->value.detach());
      of->uncertainty = torch::zeros_like(of->value.detach());
    }
}

void RankBudget::after_update(const BudgetSchedule& schedule, int64_t step,
                              const StepGradients& gradients) {
  const torch::NoGradGuard no_grad;
  begin();
  if (schedule.counts(step))
    for (Change& change : terms_)
      for (Tracked* of : {&change.a, &change.b, &change.e}) count(*of, gradients.of(of->value));
  if (schedule.masks(step)) mask(schedule.first - schedule.budget(step));
}

void RankBudget::count(Tracked& of, const Tensor& gradient) const {
  const Tensor now = (of.value * gradient).abs_();
  of.sensitivity.mul_(beta1_).add_(now, 1 - beta1_);
  of.uncertainty.mul_(beta2_).add_((now - of.sensitivity).abs_(), 1 - beta2_);
}

// In double: a product of two small numbers must not vanish.
Tensor RankBudget::score(const Tracked& of) {
  return of.sensitivity.to(torch::kDouble) * of.uncertainty.to(torch::kDouble);
}

void RankBudget::mask(int64_t dropped) const {
  if (dropped == 0) return;
  std::vector<Tensor> scores;  // S, [rank] of each change
  for (const Change& change : terms_)
    scores.push_back(score(change.e).flatten() + score(change.a).mean(1) + score(change.b).mean(0));
  const Tensor threshold = std::get<0>(torch::kthvalue(torch::cat(scores), dropped));
  for (size_t i = 0; i < terms_.size(); ++i) {
    Tensor e = terms_[i].e.value;
    e.masked_fill_((scores[i] <= threshold).unsqueeze(1), 0);
  }
}

std::vector<std::pair<std::string, Tensor>> RankBudget::state() {
  begin();
  std::vector<std::pair<std::string, Tensor>> all;
  for (const Change& change : terms_)
    for (const auto& [name, of] : {std::pair{".lora_A", &change.a}, std::pair{".lora_B", &change.b},
                                   std::pair{".lora_E", &change.e}}) {
      all.emplace_back("sensitivity/" + change.path + name, of->sensitivity);
      all.emplace_back("uncertainty/" + change.path + name, of->uncertainty);
    }
  return all;
}

}  // namespace mtlora
