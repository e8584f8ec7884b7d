#include "lib/run/peft_restore.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "lib/core/error.h"
#include "lib/core/glob.h"
#include "lib/run/peft_fit.h"
#include "lib/train/checkpoint.h"

namespace mtlora {
namespace {

const char* const kPerRow[] = {"lora_B", "lora_magnitude_vector"};

// The folder's tensors under the names, and in the shapes, that our checkpoints give them.
class AsOurs final : public WeightFile {
 public:
  AsOurs(const PeftFolder& peft, const Session& s, const NamedTensors& into)
      : WeightFile(peft.path()), peft_(peft), slots_(linear_slots(s.model())) {
    for (const auto& [name, tensor] : into) wanted_.insert(name);
    std::vector<TensorInfo> all;
    for (const auto& [name, info] : peft.tensors())
      if (!add_parts(name, info) && !is_unused_buffer(*s.loaded.family, name))
        add_whole(*s.loaded.family, name, info);
    for (const Source& source : sources_) all.push_back(source.info);
    set_tensors(std::move(all));
  }

 private:
  struct Source {
    TensorInfo info;
    std::string stored;
    std::optional<Part> rows{};  // of what is stored; none: all
    bool is_turned = false;
    Tensor minus{};  // what its value is the change of
  };

  // Of an adapted layer: what each of its adapted parts takes of it. Whether it is such a tensor.
  bool add_parts(const std::string& name, const TensorInfo& info) {
    const std::string layer = parent_of(name), kind = name.substr(name.rfind('.') + 1);
    bool is_taken = false;
    for (const Slot& slot : slots_) {
      if (slot.layer != layer || !slot.linear->adapter()) continue;
      const std::string ours = slot.path + "." + (kind == "bias" ? "bias_change" : kind);
      if (!kind.starts_with("lora_") && !wanted_.contains(ours)) continue;
      sources_.push_back(source_of(slot, ours, kind, name, info));
      is_taken = true;
    }
    return is_taken;
  }

  static Source source_of(const Slot& slot, const std::string& ours, const std::string& kind,
                          const std::string& name, const TensorInfo& info) {
    Source source{{ours, info.dtype, info.shape}, name};
    const Part& part = slot.linear->parts()[slot.part];
    if (kind == "bias") source.minus = slot.linear->bias.narrow(0, part.begin, part.size());
    const bool has_rows = kind == "bias" || std::find(std::begin(kPerRow), std::end(kPerRow),
                                                      kind) != std::end(kPerRow);
    const bool is_whole =
        slot.layer == slot.path || info.shape.empty() || info.shape[0] != slot.linear->shape().out;
    if (!has_rows || is_whole) return source;
    source.rows = part;
    source.info.shape[0] = part.size();
    return source;
  }

  void add_whole(const Family& family, const std::string& name, const TensorInfo& info) {
    Source source{{name, info.dtype, info.shape}, name};
    source.is_turned = is_turned(family, name, info.shape.size());
    if (source.is_turned) std::swap(source.info.shape[0], source.info.shape[1]);
    sources_.push_back(std::move(source));
  }

  at::Tensor read_at(size_t index) const override {
    const Source& source = sources_[index];
    Tensor value = peft_.read(source.stored);
    if (source.is_turned) value = value.t();
    if (source.rows) value = value.narrow(0, source.rows->begin, source.rows->size());
    return source.minus.defined() ? value - source.minus.detach().to(torch::kCPU) : value;
  }

  const PeftFolder& peft_;
  std::vector<Slot> slots_;
  std::set<std::string> wanted_;
  std::vector<Source> sources_;
};

const LowRankForm* form_of(const std::vector<LowRankForm>& forms, const Part& part) {
  const auto found = std::find_if(forms.begin(), forms.end(), [&](const LowRankForm& form) {
    return form.part.begin == part.begin;
  });
  return found == forms.end() ? nullptr : &*found;
}

// That the method computes what PEFT does with what has been restored.
class Check {
 public:
  Check(const PeftFolder& peft, const Session& s, const WeightFile& source)
      : peft_(peft), s_(s), source_(source), slots_(linear_slots(s.model())) {}

  void run() const {
    for (const PeftLayer& layer : peft_.layers())
      for (const Slot& slot : slots_)
        if (slot.layer == layer.path && slot.linear->adapter()) compare(layer, slot);
  }

 private:
  void compare(const PeftLayer& layer, const Slot& slot) const {
    const auto forms = slot.linear->adapter()->low_rank_form();
    const LowRankForm* form = form_of(forms, slot.linear->parts()[slot.part]);
    const auto is_same = [&](const Tensor& ours, const char* kind) {
      return torch::equal(ours.detach().to(torch::kCPU), source_.read(slot.path + kind));
    };
    if (!form || form->magnitude.defined() != peft_.is_dora() || !is_same(form->down, ".lora_A") ||
        !is_same(form->up, ".lora_B"))
      fail("{}: {} makes something else of these tensors than PEFT's {} is", peft_.path().string(),
           s_.options.adapter.method.name, peft_.is_dora() ? "DoRA" : "LoRA");
    const double wanted = peft_.scale(layer);
    if (std::abs(form->scale - wanted) > 1e-9 * std::abs(wanted))
      fail(
          "{}: the change of {} is {} B A there (lora_alpha {}, rank {}{}), with this "
          "configuration {} B A: make its alpha {} times as large",
          peft_.config().file().string(), slot.path, wanted, layer.alpha, layer.rank,
          peft_.is_rslora() ? ", rsLoRA" : "", form->scale, wanted / form->scale);
  }

  const PeftFolder& peft_;
  const Session& s_;
  const WeightFile& source_;
  std::vector<Slot> slots_;
};

}  // namespace

void restore_peft(const PeftFolder& peft, const Session& s, const NamedTensors& into,
                  const std::vector<std::string>& ignored) {
  const torch::NoGradGuard no_grad;
  check_peft_fits(peft, s);
  const AsOurs source(peft, s, into);
  restore_tensors(source, into, ignored);
  Check(peft, s, source).run();
}

}  // namespace mtlora
