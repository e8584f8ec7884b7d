#include "lib/optim/rite_algebra.h"

#include <tuple>

namespace mtlora::rite {
namespace {

Tensor symmetric(const Tensor& x) {
  return (x + x.t()) / 2;
}

}  // namespace

Decomposed decomposed(const Tensor& factor, double epsilon) {
  const auto [basis, rotation] = at::linalg_qr(factor);
  const double smallest = epsilon * static_cast<double>(rotation.size(0));
  return {basis, rotation, at::linalg_pinv(rotation, std::optional(0.0), std::optional(smallest))};
}

Tensor transported(const Tensor& v, const Tensor& p) {
  return symmetric(p.mm(v).mm(p.t()));
}

Tensor escaped_mass(const Tensor& v, const Tensor& moved) {
  const Tensor largest = (at::linalg_eigvalsh(v) - at::linalg_eigvalsh(moved)).max().clamp_min(0);
  return at::minimum(largest, (v.trace() - moved.trace()).clamp_min(0));
}

Tensor inverse_root(const Tensor& v, const Tensor& rho, double epsilon) {
  const auto [values, vectors] = at::linalg_eigh(symmetric(v));
  const Tensor roots = (values.clamp_min(0) + rho).sqrt() + epsilon;
  return symmetric((vectors / roots).mm(vectors.t()));
}

}  // namespace mtlora::rite
