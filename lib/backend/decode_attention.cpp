// Attention of one decoding step.
#include <ATen/ATen.h>

#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {

Tensor decode_attention(const Tensor& q, const DecodeKeys& keys, const CausalShape& shape) {
  return plain::decode_attention(q, keys, shape);
}

}  // namespace mtlora::backend
