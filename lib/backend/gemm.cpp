#include "lib/backend/gemm.h"

#include "lib/backend/kernel_call.h"

namespace mtlora::backend {
namespace {

template <class T, class Source>
cpu::PackCall<T, Source> pack_call(const Tensor& b, const Tensor& packed) {
  return {static_cast<const Source*>(b.data_ptr()), b.stride(0), b.stride(1), b.size(0), b.size(1),
          static_cast<T*>(packed.data_ptr())};
}

template <class T, class Out>
cpu::GemmCall<T, Out> call_of(const Tensor& a, const PackedMatrix& b, const Tensor& c) {
  TORCH_INTERNAL_ASSERT(a.size(1) == b.depth && c.size(1) == b.columns && c.stride(1) == 1 &&
                            a.scalar_type() == b.data.scalar_type(),
                        "a product of ", a.sizes(), " with [", b.depth, ", ", b.columns, "]");
  return {static_cast<const T*>(a.data_ptr()),
          a.stride(0),
          a.stride(1),
          static_cast<const T*>(b.data.data_ptr()),
          rows<Out>(c),
          a.size(0),
          b.columns,
          b.depth,
          nullptr,
          false};
}

/// The kernels take any strides of fp32, but bf16 in pairs along the depth.
Tensor left_side(const Tensor& a) {
  return a.scalar_type() == at::kFloat ? a : row_major(a);
}

}  // namespace

PackedMatrix pack(const Tensor& b, at::ScalarType type) {
  if (b.stride(0) != 1 && b.stride(1) != 1) return pack(b.contiguous(), type);
  const int64_t depth = b.size(0), columns = b.size(1);
  PackedMatrix packed{at::empty({cpu::packed_size(depth, columns)}, b.options().dtype(type)), depth,
                      columns};
  TORCH_INTERNAL_ASSERT(b.scalar_type() == type || b.scalar_type() == at::kFloat);
  with_element(packed.data, [&](auto element) {
    using T = decltype(element);
    if (b.scalar_type() == type)
      cpu::kernels<T>().pack(pack_call<T, T>(b, packed.data));
    else
      cpu::kernels<T>().pack_float(pack_call<T, float>(b, packed.data));
  });
  return packed;
}

Tensor gemm(const Tensor& a, const PackedMatrix& b, const Tensor& bias) {
  const Tensor left = left_side(a), c = at::empty({a.size(0), b.columns}, a.options());
  const Tensor shift = bias.defined() ? bias.to(at::kFloat).contiguous() : bias;
  with_element(a, [&](auto element) {
    using T = decltype(element);
    auto call = call_of<T, T>(left, b, c);
    call.bias = floats(shift);
    cpu::kernels<T>().gemm(call);
  });
  return c;
}

Tensor gemm_float(const Tensor& a, const PackedMatrix& b) {
  const Tensor left = left_side(a);
  const Tensor c = at::empty({a.size(0), b.columns}, a.options().dtype(at::kFloat));
  with_element(a, [&](auto element) {
    using T = decltype(element);
    cpu::kernels<T>().gemm_float(call_of<T, float>(left, b, c));
  });
  return c;
}

void gemm_add(const Tensor& a, const PackedMatrix& b, const Tensor& c) {
  const Tensor left = left_side(a);
  with_element(a, [&](auto element) {
    using T = decltype(element);
    auto call = call_of<T, T>(left, b, c);
    call.accumulate = true;
    cpu::kernels<T>().gemm(call);
  });
}

}  // namespace mtlora::backend
