// GGUF files built in code, whole ones and hostile ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora::test {

template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// A string as GGUF writes it.
inline std::string gguf_text(std::string_view text) {
  return raw<uint64_t>(text.size()) + std::string(text);
}

inline std::string gguf_array(uint32_t type, uint64_t count, const std::string& values) {
  return raw(type) + raw(count) + values;
}

/// Parts of a file; `bytes()` joins them. What the counts say may be overridden.
struct GgufBytes {
  struct Tensor {
    std::string name;
    std::vector<uint64_t> sizes;  // fastest first, as in the file
    uint32_t type = 0;
    uint64_t offset = 0;
  };

  uint32_t version = 3;
  std::vector<std::string> metadata;
  std::vector<Tensor> tensors;
  std::string data;
  int64_t tensor_count = -1, metadata_count = -1;
  size_t alignment = 32;

  /// Adds a key with a type's number and the bytes of its value.
  GgufBytes& add(std::string_view key, uint32_t type, const std::string& value) {
    metadata.push_back(gguf_text(key) + raw(type) + value);
    return *this;
  }
  GgufBytes& add(std::string_view key, uint32_t value) { return add(key, 4, raw(value)); }
  GgufBytes& add(std::string_view key, float value) { return add(key, 6, raw(value)); }
  GgufBytes& add(std::string_view key, bool value) {
    return add(key, 7, raw<uint8_t>(value ? 1 : 0));
  }
  GgufBytes& add(std::string_view key, const char* value) { return add(key, 8, gguf_text(value)); }
  GgufBytes& add(std::string_view key, const std::vector<std::string>& values) {
    std::string all;
    for (const auto& value : values) all += gguf_text(value);
    return add(key, 9, gguf_array(8, values.size(), all));
  }
  template <class T>
  GgufBytes& add_numbers(std::string_view key, uint32_t type, const std::vector<T>& values) {
    std::string all;
    for (const T value : values) all += raw(value);
    return add(key, 9, gguf_array(type, values.size(), all));
  }
  /// Adds a tensor behind those that are there.
  GgufBytes& add_tensor(std::string name, std::vector<uint64_t> sizes, uint32_t type,
                        const std::string& content) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    tensors.push_back({std::move(name), std::move(sizes), type, data.size()});
    data += content;
    return *this;
  }

  std::string bytes() const {
    const auto count = [](int64_t given, size_t own) {
      return raw<uint64_t>(given < 0 ? own : static_cast<uint64_t>(given));
    };
    std::string file = "GGUF" + raw(version) + count(tensor_count, tensors.size()) +
                       count(metadata_count, metadata.size());
    for (const auto& entry : metadata) file += entry;
    for (const auto& [name, sizes, type, offset] : tensors) {
      file += gguf_text(name) + raw(static_cast<uint32_t>(sizes.size()));
      for (const uint64_t size : sizes) file += raw(size);
      file += raw(type) + raw(offset);
    }
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

}  // namespace mtlora::test
