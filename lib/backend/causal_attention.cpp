// Causal attention over packed sequences.
#include <ATen/ATen.h>

#include "lib/backend/plain_decoder.h"

namespace mtlora::backend {

Tensor causal_attention(const Tensor& qkv, const Packing& packing, const CausalShape& shape,
                        const Dropout& dropout) {
  return plain::causal_attention(qkv, packing, shape, dropout);
}

}  // namespace mtlora::backend
