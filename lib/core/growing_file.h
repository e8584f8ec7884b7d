// A file that only grows, such as a log: what was appended is seen by others at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace mtlora {

class GrowingFile {
 public:
  /// Opens the file at its end; makes it where it is not there. Throws Error.
  explicit GrowingFile(const std::filesystem::path& file);
  ~GrowingFile();
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;

  /// Written through to the system. Throws Error (a full disk).
  void append(std::string_view piece);
  /// Until all of it is on the disk. Throws Error.
  void sync();
  /// Keeps the first `bytes`, of which there are so many. Throws Error.
  void cut_to(int64_t bytes);
  int64_t bytes() const { return bytes_; }

 private:
  [[noreturn]] void fail_writing() const;

  std::filesystem::path path_;
  int descriptor_;
  int64_t bytes_ = 0;
};

}  // namespace mtlora
