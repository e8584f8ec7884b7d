#include "lib/run/profile.h"

#include <algorithm>
#include <map>

#include "lib/backend/cuda/profile.h"
#include "lib/core/error.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

using backend::cuda::Ceilings;
using backend::cuda::KernelTime;

struct KernelClass {
  const char* name;
  std::vector<const char*> marks;  // any of these in a kernel's name
};

// The first that fits.
const std::vector<KernelClass>& classes() {
  static const std::vector<KernelClass> all = {
      {"attention", {"AttentionCall", "AttentionBackwardCall", "DecodeCall", "flash_"}},
      {"norms, with dropout and residual", {"NormCall", "NormBackwardCall"}},
      {"dropout", {"DropoutCall", "mask_kernel"}},
      {"matrix products", {"gemm", "nvjet", "cutlass", "cublas", "splitK", "gemv", "xmma"}},
      {"optimizer and clipping",
       {"multi_tensor_apply", "FusedAdam", "AdamWTensors", "VerdictCall", "squares_kernel",
        "pieces_kernel"}},
      {"concatenation", {"CatArray", "blocks_kernel"}},
      {"embeddings, rows taken and put", {"index", "gather", "scatter", "mbedding", "EmbedCall"}},
      {"reductions", {"reduce", "softmax", "nll_loss", "CrossEntropyCall"}},
      {"elementwise, conversions", {"elementwise", "swiglu", "RotateCall"}},
      {"copies and fills", {"Memcpy", "Memset"}},
  };
  return all;
}

// The least that the products of a step take: each linear layer's forward and, for the gradient of
// its input, backward, at the ceiling of operations or of bytes, whichever is the slower. Weights,
// inputs and outputs are read and written once.
double floor_seconds(const Session& s, double tokens, const Ceilings& ceilings) {
  double seconds = 0;
  for (const Slot& slot : linear_slots(s.model())) {
    if (slot.part != 0) continue;
    const auto in = static_cast<double>(slot.linear->shape().in),
               out = static_cast<double>(slot.linear->shape().out);
    const auto size = static_cast<double>(slot.linear->weight.element_size());
    const double operations = 2 * tokens * in * out,
                 bytes = size * (in * out + tokens * (in + out));
    seconds += 2 * std::max(operations / ceilings.operations, bytes / ceilings.bytes);
  }
  return seconds;
}

Json row(const char* what, const std::string& name, double seconds, int64_t count, double total,
         int64_t steps) {
  const auto n = static_cast<double>(steps);
  return {{what, name},
          {"milliseconds", 1e3 * seconds / n},
          {"share", seconds / total},
          {"kernels", static_cast<double>(count) / n}};
}

}  // namespace

std::string kernel_class(const std::string& kernel) {
  for (const KernelClass& c : classes())
    for (const char* mark : c.marks)
      if (kernel.find(mark) != std::string::npos) return c.name;
  return "other";
}

Json profile_steps(const Session& session, int64_t steps, const std::function<int64_t()>& work) {
  int64_t tokens = 0;
  const std::vector<KernelTime> kernels = backend::cuda::profile([&] { tokens = work(); });
  double total = 0;
  std::map<std::string, KernelTime> by_class;
  for (const KernelTime& k : kernels) {
    KernelTime& c = by_class[kernel_class(k.name)];
    c.count += k.count;
    c.seconds += k.seconds;
    total += k.seconds;
  }
  if (total == 0) fail("--profile: the profiler saw no work on the device");
  Json of_classes = Json::array(), of_kernels = Json::array();
  for (const auto& [name, c] : by_class)
    of_classes.push_back(row("class", name, c.seconds, c.count, total, steps));
  std::sort(of_classes.begin(), of_classes.end(),
            [](const Json& a, const Json& b) { return a["milliseconds"] > b["milliseconds"]; });
  for (const KernelTime& k : kernels)
    of_kernels.push_back(row("name", k.name, k.seconds, k.count, total, steps));
  const Ceilings ceilings = backend::cuda::measure_ceilings(session.dtype == torch::kBFloat16);
  const auto n = static_cast<double>(steps);
  const double floor = floor_seconds(session, static_cast<double>(tokens) / n, ceilings);
  return {{"classes", of_classes},
          {"kernels", of_kernels},
          {"milliseconds", 1e3 * total / n},
          {"floor_milliseconds", 1e3 * floor},
          {"ratio", total / n / floor},
          {"ceilings",
           {{"operations_per_second", ceilings.operations}, {"bytes_per_second", ceilings.bytes}}}};
}

std::string profile_text(const Json& p) {
  std::string text = fmt::format("\n{:<34} {:>10} {:>8} {:>10}\n", "the device's time", "ms a step",
                                 "share", "kernels");
  for (const Json& c : p["classes"])
    text += fmt::format("{:<34} {:>10.3f} {:>6.1f} % {:>10.1f}\n", c["class"].get<std::string>(),
                        c["milliseconds"].get<double>(), 100 * c["share"].get<double>(),
                        c["kernels"].get<double>());
  text += fmt::format("{:<34} {:>10.3f}\n", "all", p["milliseconds"].get<double>());
  text += fmt::format(
      "{:<34} {:>10.3f}  ({:.1f} times that; {:.0f} TFLOP/s, {:.2f} TB/s measured)\n",
      "floor of the products", p["floor_milliseconds"].get<double>(), p["ratio"].get<double>(),
      p["ceilings"]["operations_per_second"].get<double>() * 1e-12,
      p["ceilings"]["bytes_per_second"].get<double>() * 1e-12);
  text += "\nthe longest kernels\n";
  const Json& kernels = p["kernels"];
  for (size_t i = 0; i < std::min<size_t>(kernels.size(), 12); ++i)
    text += fmt::format("{:>10.3f} {:>8.1f}  {}\n", kernels[i]["milliseconds"].get<double>(),
                        kernels[i]["kernels"].get<double>(),
                        kernels[i]["name"].get<std::string>().substr(0, 110));
  return text;
}

}  // namespace mtlora
