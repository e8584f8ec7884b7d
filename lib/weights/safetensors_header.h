// The header of a safetensors file: text ↔ the tensors it lists, checked. See safetensors.h.
#pragma once

#include <string_view>

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Where a tensor's bytes lie, counted from the end of the header.
struct ByteRange {
  uint64_t begin, end;
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  ///< in the order of the header
  std::vector<ByteRange> ranges;    ///< of each; together exactly the data
  std::map<std::string, std::string> metadata;
};

/// Parses the JSON of a file with `data_bytes` behind it. Throws Error naming `file` and tensor.
SafetensorsHeader parse_header(std::string_view text, uint64_t data_bytes, const std::string& file);

/// The JSON for `tensors` one after another, padded with spaces to a multiple of 8 bytes.
std::string header_text(const NamedTensors& tensors,
                        const std::map<std::string, std::string>& metadata,
                        const std::string& file);

}  // namespace mtlora
