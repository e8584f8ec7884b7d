// Reads a GGUF file's description piece by piece and never past its end. For gguf.cpp.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>

#include "lib/core/error.h"

namespace mtlora {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

/// The number that lies at `at` of `bytes`, which are known to be enough.
template <class T>
T load_as(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

/// A place in the file. Its Errors name the file, what is being read, and the byte.
class GgufCursor {
 public:
  GgufCursor(std::string_view bytes, std::string file) : bytes_(bytes), file_(std::move(file)) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  /// What is being read from now on, for messages: `the metadata "x"`.
  void now(std::string what) { what_ = std::move(what); }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail("{}: {}{}byte {}: {}", file_, what_, what_.empty() ? "" : ", ", at_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  T number() {
    if (left() < sizeof(T))
      refuse("{} bytes are wanted, but {} are left; is the file cut off?", sizeof(T), left());
    const T value = load_as<T>(bytes_, at_);
    at_ += sizeof(T);
    return value;
  }

  /// A string: its length, then its bytes, in the file.
  std::string_view text() {
    const auto length = number<uint64_t>();
    if (length > left())
      refuse("a string of {} bytes, but {} are left; is the file cut off?", length, left());
    const std::string_view text = bytes_.substr(at_, length);
    at_ += length;
    return text;
  }

  /// A string that names something: longer than this none is real, and messages quote it.
  std::string_view name() {
    constexpr size_t kLongest = 256;
    const std::string_view found = text();
    if (found.empty() || found.size() > kLongest)
      refuse("a name of {} bytes, expected 1 to {}", found.size(), kLongest);
    return found;
  }

  /// A count of things that take at least `bytes_each`.
  uint64_t count(const char* things, uint64_t bytes_each) {
    const auto count = number<uint64_t>();
    if (count > left() / bytes_each)
      refuse("{} {} do not fit into the {} bytes that are left", count, things, left());
    return count;
  }

  void skip(uint64_t bytes) { at_ += bytes; }  ///< at most left()

 private:
  std::string_view bytes_;
  std::string file_, what_;
  size_t at_ = 0;
};

}  // namespace mtlora
