// Reading of a gzip file, a block at a time.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace mtlora {

class GzipFile {
 public:
  /// Throws Error where `file` cannot be opened.
  explicit GzipFile(std::filesystem::path file);
  ~GzipFile();

  /// The next `bytes` of the contents, fewer only at their end. Throws Error where the file is not
  /// gzip, is damaged or ends early.
  std::string read(size_t bytes);
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Stream;
  std::filesystem::path path_;
  std::unique_ptr<Stream> stream_;
};

}  // namespace mtlora
