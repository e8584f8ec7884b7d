// A golden's model with the golden's adapter: what the tests of this folder begin with.
#pragma once

#include "tests/models/golden_model.h"

namespace mtlora::test {

/// An adapter whose numbers a golden holds, under `name`.
struct Variant {
  std::string name, method;
  Json options;
  std::vector<std::string> targets = {"query", "value"};
};

inline AdapterOptions options_of(const Variant& v) {
  AdapterOptions options;
  options.targets = v.targets;
  options.method = {v.method, v.options};
  return options;
}

/// Ours -> the golden's: PEFT's matrices are lora_A and lora_B, the golden's A and B.
inline std::string golden_name(std::string name) {
  for (const char* ours : {".lora_A", ".lora_B"})
    if (name.ends_with(ours)) name.replace(name.size() - 6, 5, "");
  return name;
}

/// Writes the golden's starting values: every trained tensor has one, and every one is used.
inline void start_from(const GoldenModel& model, const Tensors& want,
                       const GoldenTraining::Rename& rename = golden_name) {
  const torch::NoGradGuard no_grad;
  int64_t written = 0;
  for (const NamedTensor& t : model.trained().tensors) {
    INFO(t.name);
    const auto found = want.find("adapter/" + rename(t.name));
    if (found == want.end()) {
      REQUIRE(!t.parameter.requires_grad());
      continue;
    }
    REQUIRE(t.tensor.sizes() == found->second.sizes());
    t.tensor.copy_(found->second);
    ++written;
  }
  CHECK(written == std::count_if(want.begin(), want.end(),
                                 [](const auto& t) { return t.first.starts_with("adapter/"); }));
}

inline void settle(Classifier& model) {
  for (const Slot& slot : linear_slots(model)) slot.linear->settle();
}

}  // namespace mtlora::test
