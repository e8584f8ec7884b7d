// A golden model, ready to be trained on the golden's batch, and its comparison with what Hugging
// Face and PEFT computed: outputs, gradients, ten steps. See tests/golden/README.md.
#pragma once

#include "tests/models/golden_training.h"
#include "tests/support/device.h"
// The order matters: LibTorch before Catch2.
#include <algorithm>
#include <numeric>
#include <vector>

#include "lib/adapters/inject.h"
#include "lib/backend/cpu/features.h"
#include "lib/models/load.h"
#include "lib/nn/loss.h"
#include "lib/train/device_batch.h"

namespace mtlora::test {

/// One of the implementations: a path of the CPU, or a CUDA device.
struct Place {
  backend::Path path = backend::Path::plain;
  bool is_device = false;
};

/// Restores the path that was in use.
class OnPath {
 public:
  explicit OnPath(Place place) {
    backend::use_path(place.path);
    device() = place.is_device ? the_device() : at::Device(torch::kCPU);
  }
  ~OnPath() {
    backend::use_path(before_);
    device() = torch::kCPU;
  }
  OnPath(const OnPath&) = delete;
  OnPath& operator=(const OnPath&) = delete;

  /// Where golden models are put.
  static torch::Device& device() {
    static torch::Device device = torch::kCPU;
    return device;
  }

 private:
  backend::Path before_ = backend::path();
};

/// The implementations that this machine can run.
inline std::vector<Place> all_paths() {
  if (only_device()) return {{backend::Path::plain, true}};
  std::vector<Place> places{{backend::Path::plain, false}};
  if (backend::has_avx512())
    places.push_back({backend::Path::avx512, false});
  else
    std::cerr << "skipped: the kernels' path, this CPU has no AVX-512\n";
  if (has_device()) places.push_back({backend::Path::plain, true});
  return places;
}

inline const char* name_of(Place place) {
  return place.is_device ? "cuda" : place.path == backend::Path::plain ? "plain" : "avx512";
}

/// The examples of a golden's flat batch.
inline EncodedSet golden_set(const Tensors& golden) {
  const auto flat = [&](const char* name) { return golden.at(name).to(at::kInt); };
  const Tensor ids = flat("ids"), segments = flat("segments");
  const Tensor labels = golden.at("labels").to(at::kDouble);
  std::vector<EncodedExample> examples;
  int64_t begin = 0;
  for (int64_t i = 0; i < labels.size(0); ++i) {
    const int64_t length = golden.at("lengths")[i].item<int64_t>();
    const auto part = [&](const Tensor& all) {
      const int32_t* at = all.data_ptr<int32_t>() + begin;
      return std::vector<int32_t>(at, at + length);
    };
    examples.push_back({part(ids), part(segments), labels[i].item<double>()});
    begin += length;
  }
  return EncodedSet(examples);
}

/// Moves an adapter away from its start, at which it changes nothing.
inline void shake(const Trained& trained) {
  const torch::NoGradGuard no_grad;
  Random random(3);
  for (const NamedTensor& t : trained.tensors)
    if (t.name.ends_with("lora_B") || t.name.ends_with(".B"))
      for (int64_t i = 0; i < t.tensor.numel(); ++i) t.tensor.view({-1})[i] = 0.1 * random.normal();
}

class GoldenModel {
 public:
  explicit GoldenModel(const std::string& name, const AdapterOptions& adapter = full())
      : golden_(golden(name + "/golden.safetensors")),
        loaded_(load_classifier(golden_path(name), {})),
        set_(golden_set(golden_)),
        trained_(inject(*loaded_.model, adapter, 1, loaded_.family->head)) {
    // Of five sequences and 44 tokens; a golden of other size is not the one these tests are for.
    REQUIRE(set_.size() == 5);
    REQUIRE(set_.tokens() == 44);
    move_to(OnPath::device(), *loaded_.model, trained_);
    meet_bases(*loaded_.model);
  }

  static AdapterOptions full() {
    AdapterOptions options;
    options.method = {"full", Json::object()};
    return options;
  }

  const Tensors& batch_golden() const { return golden_; }
  Classifier& model() { return *loaded_.model; }
  const LoadedClassifier& loaded() const { return loaded_; }
  const Trained& trained() const { return trained_; }
  CollateOptions collate_options() const { return {.is_regression = is_regression()}; }
  const EncodedSet& set() const { return set_; }
  bool is_regression() const { return golden_.at("labels").is_floating_point(); }
  Batch batch() const {
    return on_device(collate(set_, items_until(set_.size()), collate_options()), model_device());
  }

  /// Compares logits, loss, gradients and ten steps with `want`, whose names map through `rename`.
  void check_training(const Tensors& want,
                      const std::function<std::string(std::string)>& rename = {},
                      const std::function<void(int64_t)>& after_step = {}) {
    check_outputs(want);
    const LabelObjective objective(model(), set_, collate_options(), 0);
    GoldenTraining training(objective, trained_, want, rename);
    training.after_step = after_step;
    training.check();
  }

  void check_outputs(const Tensors& want) {
    const torch::NoGradGuard no_grad;
    const Batch whole = batch();
    const Tensor logits = model().logits(whole, {});
    check_close("logits", logits, want.at("logits"), output_tolerance);
    const Tensor loss = is_regression() ? regression_loss(logits, whole.labels)
                                        : classification_loss(logits, whole.labels, 0);
    check_close("loss", loss / static_cast<double>(set_.size()), want.at("loss"), output_tolerance);
  }

 private:
  torch::Device model_device() const { return loaded_.model->device(); }

  Tensors golden_;
  LoadedClassifier loaded_;
  EncodedSet set_;
  Trained trained_;
};

}  // namespace mtlora::test
