// MoRA: y = W x + b + spread(M gather(dropout(x))), M [r̂, r̂] square and 0 at first, between a
// gathering and a spreading without trained numbers (mora_forms.h): as many numbers as LoRA's, a
// rank of up to r̂. No alpha, no scale. Jiang et al. 2024, arXiv:2405.12130, equations 6 and 9; the
// width as the authors' code kongds/MoRA, made even for the rotation.
//
// ReMoRA (section 4.3): every `restart_steps` steps M joins the weights, begins anew at 0 with the
// next pair of gathering and spreading (types 1 to 4 of the code), and the learning rate warms up.
// The change is linear in M, so joining the weights is adding M to its place in a frozen matrix
// `sum` [2 r̂, 2 r̂], rows by spreading and columns by gathering, each shared and grouped:
//   type 1: shared, shared;  2: grouped, grouped;  3: shared rows, grouped columns;  4: the
//   reverse.

#include "lib/adapters/mora_forms.h"
#include "lib/adapters/registry.h"
#include "lib/core/error.h"
#include "lib/nn/dropout.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

struct MoraOptions {
  int64_t rank = 8;
  double dropout = 0.0;
  std::optional<std::string> type;
  std::optional<int64_t> restart_steps;
  std::optional<std::string> cycle;
  std::optional<int64_t> restart_warmup;

  static std::vector<std::string> of_training() { return {"dropout", "restart_warmup"}; }
  void fields(Fields& f) {
    f("rank", rank,
      "Rank of the LoRA that has about as many numbers; M has width sqrt((in + out) rank).",
      at_least(1));
    f("dropout", dropout, "Dropout probability on the adapter's input.", at_least_zero_below(1));
    f("type", type,
      "1: sharing, for large ranks such as 256; 6: rotation, for small ones such as 8. null: 6, or "
      "with restart_steps what the cycle says.",
      one_of({"1", "6"}));
    f("restart_steps", restart_steps,
      "ReMoRA: every so many steps M joins the weights and begins anew. null: never.", at_least(1));
    f("cycle", cycle, "The types that restarts go through, from 1 on; null: 1-2.",
      one_of({"1-2", "1-2-3-4"}));
    f("restart_warmup", restart_warmup,
      "Steps over which the learning rate rises from 0 after a restart; null: 50.", at_least(0));
  }
  int64_t types() const { return cycle.value_or("1-2") == "1-2" ? 2 : 4; }
  int64_t warmup() const { return restart_warmup.value_or(50); }
  bool rotates() const { return !restart_steps && type.value_or("6") == "6"; }
  int64_t width(int64_t in, int64_t out) const { return mora_width(in, out, rank, rotates()); }
  int64_t parameters(int64_t in, int64_t out) const { return width(in, out) * width(in, out); }
};

class Mora final : public Adapter {
 public:
  Mora(const MoraOptions& o, const AdaptedLayer& layer)
      : rotates_(o.rotates()), dropout_(register_module("dropout", DropoutSite(o.dropout))) {
    for (const Part& part : layer.parts) {
      torch::nn::Module& home = part.name.empty() ? *this : name_group(*this, part.name);
      const int64_t width = o.width(layer.shape.in, part.size());
      squares_.push_back(
          {part, home.register_parameter("M", torch::zeros({width, width})), {}, {}});
      if (!o.restart_steps) continue;
      squares_.back().sum =
          home.register_parameter("sum", torch::zeros({2 * width, 2 * width}), false);
      squares_.back().type = home.register_parameter("type", torch::ones({1}), false);
    }
  }

  Tensor forward(const Tensor& x, const LinearMap& base, const Part& range,
                 const Pass& pass) override {
    const Tensor y = backend::linear(x, base.weight, base.bias);
    const Tensor in = dropout_(x, pass);
    std::vector<Tensor> pieces;  // of y, changed or not, side by side
    int64_t done = range.begin;
    const auto unchanged_until = [&](int64_t end) {
      if (end > done) pieces.push_back(y.narrow(1, done - range.begin, end - done));
    };
    for (const Square& s : squares_) {
      if (!range.contains(s.part)) continue;
      unchanged_until(s.part.begin);
      pieces.push_back(y.narrow(1, s.part.begin - range.begin, s.part.size()) + change(in, s));
      done = s.part.end;
    }
    unchanged_until(range.end);
    return pieces.size() == 1 ? pieces[0] : torch::cat(pieces, 1);
  }

  Affine merged(const Affine& base) const override {
    Affine out{base.weight.clone(), base.bias.defined() ? base.bias.clone() : Tensor()};
    const Tensor unit = torch::eye(base.weight.size(1), base.weight.options());
    for (const Square& s : squares_)
      out.weight.narrow(0, s.part.begin, s.part.size()) += change(unit, s).t();
    return out;
  }

  /// M joins the weights; the next one is of `type`.
  void restart(int64_t type) {
    for (Square& s : squares_) {
      s.sum.add_(placed(s));
      s.m.zero_();
      s.type.fill_(static_cast<double>(type));
    }
  }
  void append_tensors(std::vector<Tensor>& out) const {
    for (const Square& s : squares_) out.push_back(s.m);
  }

 private:
  // Of one part. sum and type (1 to 4, of M) only with restarts.
  struct Square {
    Part part;
    Tensor m, sum, type;
  };

  // M where its type has it in `sum`.
  static Tensor placed(const Square& s) {
    const int64_t width = s.m.size(0), type = s.type.item().toLong();
    const bool grouped_rows = type == 2 || type == 4, grouped_columns = type == 2 || type == 3;
    const auto pad = [&](bool is_second) {
      return is_second ? std::pair{width, int64_t{0}} : std::pair{int64_t{0}, width};
    };
    const auto [left, right] = pad(grouped_columns);
    const auto [above, below] = pad(grouped_rows);
    return torch::constant_pad_nd(s.m, {left, right, above, below});
  }

  Tensor change(const Tensor& x, const Square& s) const {
    const int64_t out = s.part.size();
    if (s.sum.defined()) return mora_both_ways(x, s.sum + placed(s), out);
    return rotates_ ? mora_rotation(x, s.m, out) : mora_sharing(x, s.m, out);
  }

  bool rotates_;
  DropoutSite dropout_;
  std::vector<Square> squares_;
};

class MoraSet final : public Layerwise<MoraOptions, Mora> {
 public:
  explicit MoraSet(MoraOptions parsed) : Layerwise(std::move(parsed)) {
    if (options.restart_steps && options.type)
      fail(
          "/adapter/method/type: with restart_steps the types are those of /adapter/method/cycle; "
          "leave type out");
    for (const auto& [is_given, name] : {std::pair{options.cycle.has_value(), "cycle"},
                                         {options.restart_warmup.has_value(), "restart_warmup"}})
      if (is_given && !options.restart_steps)
        fail(
            "/adapter/method/{}: is for restarts, and without restart_steps there are none; leave "
            "it out",
            name);
    if (options.restart_steps && *options.restart_steps < options.warmup())
      fail(
          "/adapter/method/restart_warmup: {} steps, but a restart comes every {} (restart_steps): "
          "the learning rate would never reach its full height",
          options.warmup(), *options.restart_steps);
  }
  void check(const TrainingPlan& plan) const override {
    if (options.restart_steps && *options.restart_steps >= plan.total_steps)
      fail(
          "/adapter/method/restart_steps: a restart every {} steps, but the run has only {}: there "
          "would be none to train after",
          *options.restart_steps, plan.total_steps);
  }

  bool repeats() const override { return !options.restart_steps; }  // the type changes
  bool may_leave_out_steps() const override { return !options.restart_steps; }
  void begin(const TrainingPlan& plan) override {
    // What another run has learned (adapter.start_from) joins the weights.
    if (options.restart_steps && plan.step == 0) restart(type_of(0));
  }
  std::vector<Tensor> after_update(int64_t step, const StepGradients&) override {
    if (!options.restart_steps || (step + 1) % *options.restart_steps != 0) return {};
    restart(type_of((step + 1) / *options.restart_steps));
    std::vector<Tensor> anew;
    for (const auto& layer : layers) layer->append_tensors(anew);
    return anew;
  }
  double lr_factor(int64_t step) const override {
    if (!options.restart_steps || step < *options.restart_steps) return 1;
    const int64_t since = step % *options.restart_steps;
    if (since >= options.warmup()) return 1;
    return static_cast<double>(since) / static_cast<double>(options.warmup());
  }

 private:
  int64_t type_of(int64_t round) const { return 1 + round % options.types(); }
  void restart(int64_t type) {
    const torch::NoGradGuard no_grad;
    for (const auto& layer : layers) layer->restart(type);
  }
};

}  // namespace

AdapterMethod mora() {
  return layerwise<MoraOptions, Mora, MoraSet>(
      {.name = "mora",
       .summary = "A square matrix between a gathering and a spreading without trained numbers: a "
                  "high rank for LoRA's number of parameters. With restart_steps: ReMoRA.",
       .equation = "y = Wx + b + spread(M·gather(x)), M of width √((in+out)·r)",
       .source = "Jiang et al. 2024, arXiv:2405.12130"});
}

}  // namespace mtlora
