// Embeddings and a classifier's loss on a CUDA device; the arithmetic is in cuda/ends.cu.
#include <algorithm>

#include "lib/backend/cuda_call.h"
#include "lib/backend/on_cuda.h"

namespace mtlora::backend::device {
namespace {

std::vector<Tensor> tensors_of(const std::vector<Lookup>& lookups, const Affine& affine) {
  std::vector<Tensor> all{affine.gamma, affine.beta};
  for (const Lookup& l : lookups) all.push_back(l.table);
  return all;
}

}  // namespace

bool takes_embed(const std::vector<Lookup>& lookups, const Affine& affine) {
  const Tensor& first = lookups[0].table;
  const bool are_alike = std::all_of(lookups.begin(), lookups.end(), [&](const Lookup& l) {
    return l.table.scalar_type() == first.scalar_type() && l.table.stride(1) == 1;
  });
  return takes_norm(first) && are_alike && std::ssize(lookups) <= cuda::EmbedCall::kMost &&
         !wants_gradient(tensors_of(lookups, affine));
}

Tensor embed(const std::vector<Lookup>& lookups, const Affine& affine, const Dropout& given) {
  const Tensor& first = lookups[0].table;
  const Dropout dropout = beside(given, first);
  const Tensor gamma = vector_of_floats(affine.gamma), beta = vector_of_floats(affine.beta);
  cuda::EmbedCall call{};
  call.element = element_of(first);
  std::vector<Tensor> rows;  // those of other layouts live until the kernel is asked for
  for (const Lookup& l : lookups) {
    rows.push_back(l.rows.contiguous());
    TORCH_INTERNAL_ASSERT(rows.back().scalar_type() == at::kLong && is_reached(rows.back()) &&
                          rows.back().numel() == rows[0].numel() &&
                          l.table.size(1) == gamma.numel());
    call.from[call.count++] = {matrix(l.table.detach()), rows.back().data_ptr<int64_t>(), l.first};
  }
  call.rows = rows[0].numel();
  call.width = first.size(1);
  const Tensor y = at::empty({call.rows, call.width}, first.options().requires_grad(false));
  call.gamma = gamma.data_ptr<float>();
  call.beta = beta.data_ptr<float>();
  call.y = matrix(y);
  call.eps = static_cast<float>(affine.eps);
  call.mask = device_mask(dropout, call.rows);
  cuda::embed(call, cuda::current_stream());
  return y;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels, double label_smoothing) {
  const Tensor x = row_major(logits.detach()), classes = labels.contiguous();
  TORCH_INTERNAL_ASSERT(classes.scalar_type() == at::kLong && is_reached(classes) &&
                        classes.numel() == x.size(0));
  const Tensor loss = at::empty({}, x.options().dtype(at::kFloat));
  const cuda::CrossEntropyCall call{element_of(x), matrix(x), classes.data_ptr<int64_t>(),
                                    x.size(0),     x.size(1), static_cast<float>(label_smoothing)};
  cuda::cross_entropy(call, loss.data_ptr<float>(), cuda::current_stream());
  if (!wants_gradient({logits})) return loss;
  const auto backward = [call](const Tensor& slope, const std::vector<Tensor>& saved,
                               const Needs&) -> std::vector<Tensor> {
    const Tensor dx = at::empty({call.rows, call.classes}, saved[0].options());
    cuda::cross_entropy_backward(call, slope.data_ptr<float>(), matrix(dx), cuda::current_stream());
    return {dx};
  };
  return differentiable({logits}, Computed{loss, {x, classes}, backward});
}

}  // namespace mtlora::backend::device
