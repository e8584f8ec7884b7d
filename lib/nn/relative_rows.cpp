#include "lib/nn/relative_rows.h"

#include <torch/types.h>
#include <torch/utils.h>

namespace mtlora {
namespace {

using torch::Tensor;

// LibTorch's own operations in the order of the original: a bucket's border is where ceil() changes
// in fp32.
Tensor log_buckets(const Tensor& distances, int64_t buckets, int64_t max_positions) {
  const int64_t mid = buckets / 2;
  const Tensor is_near = (distances < mid) & (distances > -mid);
  const Tensor size = torch::where(is_near, mid - 1, distances.abs());
  const double ratio = static_cast<double>(max_positions - 1) / static_cast<double>(mid);
  const Tensor end = torch::log(torch::scalar_tensor(ratio, torch::kFloat));
  const Tensor far = torch::ceil(torch::log(size / mid) / end * (mid - 1)) + mid;
  return torch::where(size <= mid, distances.to(torch::kFloat), far * torch::sign(distances));
}

}  // namespace

std::vector<int32_t> relative_rows(const RelativeSpan& span, int64_t reach) {
  const torch::NoGradGuard no_grad;
  Tensor places = torch::arange(1 - reach, reach, torch::kLong);
  if (span.buckets > 0) places = log_buckets(places, span.buckets, span.max_positions);
  const Tensor rows =
      torch::clamp(places.to(torch::kLong) + span.span(), 0, span.rows() - 1).to(torch::kInt);
  const int32_t* data = rows.data_ptr<int32_t>();
  return {data, data + rows.numel()};
}

}  // namespace mtlora
