#include "lib/backend/forward_mode.h"

#include <torch/csrc/autograd/autograd.h>

#include "lib/backend/on_cuda.h"

namespace mtlora::backend {

namespace ad = torch::autograd::forward_ad;

// LibTorch has one level: the first.
constexpr uint64_t kLevel = 0;

ForwardMode::ForwardMode(const std::vector<at::Tensor>& tensors,
                         const std::vector<at::Tensor>& directions)
    : before_(path()), device_before_(cuda::kernels_in_use()), level_(ad::enter_dual_level()) {
  use_path(Path::plain);
  cuda::use_kernels(false);
  TORCH_INTERNAL_ASSERT(level_ == kLevel && tensors.size() == directions.size());
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i]._set_fw_grad(directions[i], kLevel, /*is_inplace_op=*/false);
}

ForwardMode::~ForwardMode() {
  ad::exit_dual_level(level_);  // takes the derivatives off
  use_path(before_);
  cuda::use_kernels(device_before_);
}

at::Tensor derivative_of(const at::Tensor& x) {
  return x._fw_grad(kLevel);
}

}  // namespace mtlora::backend
