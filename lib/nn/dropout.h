// A place in the model where dropout happens. Its masks are keyed by its path in the model, so they
// do not depend on the order in which modules were built or run.
#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <string>

#include "lib/nn/pass.h"

namespace mtlora {

class DropoutSiteImpl : public torch::nn::Module {
 public:
  explicit DropoutSiteImpl(double p) : p_(p) {}

  Tensor forward(const Tensor& x, const Pass& pass) { return backend::dropout(x, at(pass)); }
  /// What an operation that drops by itself needs.
  backend::Dropout at(const Pass& pass) const { return pass.dropout(p_, site_); }

  double p() const { return p_; }
  void name_site(const std::string& path) { site_ = name_key(path); }

 private:
  double p_;
  uint64_t site_ = 0;
};
TORCH_MODULE(DropoutSite);

/// Gives every site below `root` the key of its path. Call it when the model is complete, adapters
/// included.
inline void name_dropout_sites(torch::nn::Module& root) {
  for (const auto& module : root.named_modules())
    if (auto* site = module.value()->as<DropoutSiteImpl>()) site->name_site(module.key());
}

}  // namespace mtlora
