// The entries of a zip archive, whole, checked against their checksums.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

struct zip;

namespace mtlora {

class ZipArchive {
 public:
  /// Throws Error where it is no zip archive.
  explicit ZipArchive(const std::filesystem::path& file);

  const std::vector<std::string>& names() const { return names_; }
  bool has(const std::string& name) const;
  /// Uncompressed; larger than its file can hold is an Error.
  uint64_t size_bytes(const std::string& name) const;
  /// Fills `to`, of size_bytes(name). Throws Error where the entry is damaged.
  void read(const std::string& name, void* to) const;

 private:
  uint64_t index_of(const std::string& name) const;

  std::string file_;
  std::shared_ptr<zip> zip_;
  std::vector<std::string> names_;
};

}  // namespace mtlora
