#include "lib/nn/names.h"

#include <functional>

namespace mtlora {
namespace {

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : name.empty() ? path : path + "." + name;
}

bool has_layers(const LinearImpl& linear) {
  return linear.is_fused() && linear.parts_are() == PartsAre::layers;
}

// The checkpoint's layer of one part: of a fused "….self.qkv" it is "….self.query".
std::string layer_path(const std::string& path, const LinearImpl& linear, const Part& part) {
  return has_layers(linear) ? join(parent_of(path), part.name) : path;
}

using Visitor = std::function<bool(const std::string& path, torch::nn::Module& module)>;

// Visits modules from the root on; `visit` says whether to go on below.
void walk(const std::string& path, torch::nn::Module& module, const Visitor& visit) {
  if (!visit(path, module)) return;
  for (const auto& child : module.named_children())
    walk(join(path, child.key()), *child.value(), visit);
}

void add_linear(const std::string& path, const LinearImpl& linear, std::vector<NamedTensor>& out) {
  const auto add = [&](const char* name, const Tensor& whole) {
    if (!whole.defined()) return;
    if (!has_layers(linear)) {
      out.push_back({join(path, name), whole.detach(), whole});
      return;
    }
    for (const Part& part : linear.parts())
      out.push_back({join(layer_path(path, linear, part), name),
                     whole.detach().narrow(0, part.begin, part.size()), whole});
  };
  add("weight", linear.weight);
  add("bias", linear.bias);
  if (!linear.adapter()) return;
  for (const auto& p : linear.adapter()->named_parameters()) {
    const size_t dot = p.key().find('.');  // a part's own tensors stand below its name
    const bool of_part = has_layers(linear) && dot != std::string::npos;
    out.push_back({join(of_part ? parent_of(path) : path, p.key()), p.value().detach(), p.value()});
  }
}

}  // namespace

std::string parent_of(const std::string& name) {
  const size_t dot = name.rfind('.');
  return dot == std::string::npos ? "" : name.substr(0, dot);
}

std::vector<Slot> linear_slots(torch::nn::Module& root) {
  std::vector<Slot> slots;
  walk("", root, [&](const std::string& path, torch::nn::Module& module) {
    auto* linear = module.as<LinearImpl>();
    if (!linear) return true;
    for (size_t i = 0; i < linear->parts().size(); ++i) {
      const Part& part = linear->parts()[i];
      const std::string layer = layer_path(path, *linear, part);
      slots.push_back({has_layers(*linear) ? layer : join(layer, part.name), layer, linear, i});
    }
    return false;
  });
  return slots;
}

std::vector<BlockSlot> block_slots(torch::nn::Module& root) {
  std::vector<BlockSlot> slots;
  walk("", root, [&](const std::string& path, torch::nn::Module& module) {
    for (const auto& child : module.named_children())
      if (auto* norm = child.value()->as<LayerNormImpl>())
        if (norm->ends() != Sublayer::none) slots.push_back({path, &module, norm});
    return true;
  });
  return slots;
}

std::vector<NamedTensor> named_tensors(const torch::nn::Module& root) {
  std::vector<NamedTensor> tensors;
  // walking does not change the modules
  walk("", const_cast<torch::nn::Module&>(root),
       [&](const std::string& path, torch::nn::Module& module) {
         if (const auto* linear = module.as<LinearImpl>()) {
           add_linear(path, *linear, tensors);
           return false;
         }
         for (const auto& p : module.named_parameters(/*recurse=*/false))
           tensors.push_back({join(path, p.key()), p.value().detach(), p.value()});
         return true;
       });
  return tensors;
}

torch::nn::Module& name_group(torch::nn::Module& parent_module, const std::string& name) {
  return *parent_module.register_module(name, std::make_shared<torch::nn::Module>());
}

}  // namespace mtlora
