// A name for the values of a set of tensors: 128 bits in hexadecimal digits. Two sets that differ
// by accident have different ones; whoever wants to can make two sets with the same one: it is not
// cryptographic.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mtlora {

/// Of names, types, shapes and bytes.
class Fingerprint {
 public:
  /// Names come in ascending order: the set counts, not where its tensors were found.
  void add(const std::string& name, const at::Tensor& tensor);
  std::string text() const;  ///< 32 digits

 private:
  void add(const void* data, size_t bytes);
  void add(std::string_view text) { add(text.data(), text.size()); }

  uint64_t high_ = 0, low_ = 0;
  std::string last_;  // name
};

}  // namespace mtlora
