// Where a test finds the files beside it, and how it says that it was skipped.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

namespace mtlora::test {

/// The checkout's root: MTLORA_SOURCE, set by ctest, or the current folder.
inline std::filesystem::path source_root() {
  const char* set = std::getenv("MTLORA_SOURCE");
  return set ? std::filesystem::path(set) : std::filesystem::current_path();
}

/// A file or folder of the shared data beside the checkout.
inline std::filesystem::path shared(const std::string& path) {
  return source_root().parent_path() / "shared" / path;
}

/// Whether `path` is there. If not, says plainly that the test is skipped and why, and passes.
inline bool available(const std::filesystem::path& path) {
  if (std::filesystem::exists(path)) return true;
  std::cerr << "skipped: " << path.string() << " is not there\n";
  SUCCEED("skipped: " << path.string() << " is not there");
  return false;
}

/// A fresh folder that goes away with the object.
class TempDir {
 public:
  TempDir() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mtlora-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace mtlora::test
