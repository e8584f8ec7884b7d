// GGUF, the file of llama.cpp: [magic, version, counts] [metadata: key, type, value] [tensors:
// name, sizes, type, offset] [padding] [the tensors' bytes], little-endian, versions 2 and 3.
// Source: ggml (https://github.com/ggml-org/ggml), docs/gguf.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "lib/core/files.h"
#include "lib/core/gguf_types.h"

namespace mtlora {

/// The type of a value of metadata, numbered as in the file.
enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

struct GgufTensor {
  std::string name;
  const GgmlType* type;
  std::vector<int64_t> shape;  ///< slowest first, as [out, in]: the file has them the other way
  std::string_view bytes;      ///< of the mapped file; as many as type and shape take
};

/// An opened file, mapped. All of its description is checked when it is opened: every value and
/// every tensor lies whole inside the file, no name stands twice, a row is whole blocks. Nothing
/// is copied that the file itself is not large enough for.
class GgufFile {
 public:
  /// Throws Error naming file, key or tensor, and the byte at which it stands.
  explicit GgufFile(const std::filesystem::path& file);

  const std::filesystem::path& path() const { return mapped_.path(); }
  uint32_t version() const { return version_; }
  /// In the order of the file.
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  /// In the order of the file.
  std::vector<std::string> keys() const;
  bool has(std::string_view key) const { return index_.contains(key); }

  /// Single values. An integer of any width; a number of any type but bool. They throw Error where
  /// the key is absent or its value of another type.
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::string_view text(std::string_view key) const;

  /// Arrays, in the same way.
  std::vector<int64_t> integers(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<std::string_view> texts(std::string_view key) const;

 private:
  struct Entry {
    std::string_view key;
    GgufType type;  // of the elements, where it is an array
    bool is_array = false;
    uint64_t count = 1;
    size_t at = 0;  // of the first element in the file
  };
  class Reader;

  /// The entry of a key, which must be an array, or must not.
  const Entry& entry(std::string_view key, bool is_array) const;
  [[noreturn]] void fail_type(const Entry& entry, const char* wanted) const;
  int64_t integer_at(const Entry& entry, uint64_t index) const;
  double number_at(const Entry& entry, uint64_t index) const;

  MappedFile mapped_;
  uint32_t version_ = 0;
  std::vector<Entry> entries_;
  std::unordered_map<std::string_view, size_t> index_;  // of entries_, by key
  std::vector<GgufTensor> tensors_;
};

}  // namespace mtlora
