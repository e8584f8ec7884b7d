// The types of GGUF's tensors: how many elements a block holds, and in how many bytes.
// Source: ggml (https://github.com/ggml-org/ggml), ggml.h `ggml_type` and ggml-common.h; the sizes
// are those of gguf-py 0.19.0, constants.py, GGML_QUANT_SIZES.
#pragma once

#include <cstdint>
#include <string_view>

namespace mtlora {

struct GgmlType {
  uint32_t id;
  std::string_view name;  ///< "Q4_1"
  int64_t block_elements, block_bytes;
};

/// The type of this number, null where ggml has none.
const GgmlType* find_ggml_type(uint32_t id);

}  // namespace mtlora
