// Methods that add nothing to a layer: they only name tensors of the model to train.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/adapters/registry.h"
#include "lib/core/error.h"

namespace mtlora {

struct NoOptions {
  void fields(Fields&) {}
};

class NoSlots final : public AdapterSet {
 public:
  explicit NoSlots(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {}
  std::shared_ptr<Adapter> make(const AdaptedLayer& layer) override {
    fail("{}: this method fills no slots", layer.path);
  }
  bool fills_slots() const override { return false; }
  std::vector<std::string> trainable() const override { return patterns_; }

 private:
  std::vector<std::string> patterns_;
};

inline AdapterMethod without_slots(
    MethodText text, std::vector<std::string> patterns,
    std::function<int64_t(const Json&, int64_t, int64_t)> parameters) {
  return {{std::move(text.name), std::move(text.summary), default_visit<NoOptions>()},
          std::move(text.equation),
          std::move(text.source),
          text.merges,
          text.is_low_rank,
          std::move(parameters),
          [patterns = std::move(patterns)](const Json&) {
            auto set = std::make_unique<NoSlots>(patterns);
            set->know_hooks_of<NoSlots>();
            return set;
          }};
}

}  // namespace mtlora
