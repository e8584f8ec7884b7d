// A golden's model, encoder or decoder, at work on a few made-up examples.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/models/golden_model.h"
#include "tests/train/random_example.h"

namespace mtlora::test {

/// `count` examples of 3 to 12 tokens below 60, the smallest vocabulary of a golden. Labels are
/// told by the second token; the later half of a text is to be learned. Two of the goldens have two
/// labels, RoBERTa's one segment.
inline EncodedSet examples(int64_t count, const std::string& name) {
  const bool is_roberta = name.starts_with("roberta");
  const int64_t labels = is_roberta || name == "deberta-v2-p2c-tiny" ? 2 : 3;
  Random random(7);
  std::vector<EncodedExample> all;
  for (int64_t i = 0; i < count; ++i) {
    EncodedExample e = random_example(random, 3 + random.below(10), 4, 53, !is_roberta);
    e.ids[1] = static_cast<int32_t>(55 + i % 3);
    e.label = static_cast<double>(i % labels);
    all.push_back(e);
  }
  return EncodedSet(all);
}

inline bool is_decoder(const std::string& name) {
  return name.starts_with("gpt2") || name.starts_with("llama");
}

inline bool has_one_output(const std::string& name) {
  return name.ends_with("regression") || name == "deberta-v2-c2p-tiny";
}

inline AdapterOptions method(const std::string& name, std::vector<std::string> targets,
                             double dropout = 0) {
  AdapterOptions options;
  options.targets = std::move(targets);
  options.method = {name,
                    name == "full" ? Json::object() : Json{{"rank", 4}, {"dropout", dropout}}};
  return options;
}

/// Two kinds of layers of a golden's model.
inline std::vector<std::string> some_targets(const std::string& name) {
  if (name.starts_with("gpt2")) return {"query", "c_fc"};
  if (name.starts_with("llama")) return {"q_proj", "down_proj"};
  if (name.starts_with("deberta")) return {"query_proj", "value_proj"};
  return {"query", "value"};
}

/// A golden's model at work on `examples`, its trained tensors away from their start.
struct Training {
  Training(const std::string& name, const AdapterOptions& adapter, int64_t count)
      : set(examples(count, name)) {
    if (is_decoder(name)) {
      LoadedLanguageModel loaded = load_language_model(golden_path(name), std::nullopt);
      model = loaded.model;
      trained = inject(*model, adapter, 1, {});
      objective = std::make_unique<TextObjective>(*loaded.model, set, 0.1);
    } else {
      LoadedClassifier loaded = load_classifier(golden_path(name), {});
      model = loaded.model;
      trained = inject(*model, adapter, 1, loaded.family->head);
      objective = std::make_unique<LabelObjective>(
          *loaded.model, set, CollateOptions{.is_regression = has_one_output(name)}, 0);
    }
    shake(trained);
    move_to(OnPath::device(), *model, trained);
    meet_bases(*model);
    for (const Slot& slot : linear_slots(*model)) slot.linear->settle();
  }

  TrainStep step(backend::ShardPool& pool) const {
    return {*objective,
            parameters_of(trained),
            pool,
            {.training = false, .adapters = trained.set.get()}};
  }
  std::vector<Tensor> direction() const {
    std::vector<Tensor> along;
    Random random(11);
    for (const auto& [name, tensor] : trained.parameters) {
      const Tensor u = at::empty(tensor.sizes());
      float* at = u.data_ptr<float>();
      for (int64_t i = 0; i < u.numel(); ++i) at[i] = static_cast<float>(random.normal());
      along.push_back(u.to(tensor.device()));
    }
    return along;
  }

  EncodedSet set;
  std::shared_ptr<Model> model;
  std::unique_ptr<Objective> objective;
  Trained trained;
};

}  // namespace mtlora::test
