#include "lib/core/growing_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/core/error.h"

namespace mtlora {

GrowingFile::GrowingFile(const std::filesystem::path& file)
    : path_(file), descriptor_(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)) {
  const off_t end = descriptor_ < 0 ? -1 : lseek(descriptor_, 0, SEEK_END);
  if (end >= 0) {
    bytes_ = end;
    return;
  }
  const int why = errno;
  if (descriptor_ >= 0) close(descriptor_);
  fail("{}: cannot be written: {}", file.string(), std::strerror(why));
}

GrowingFile::~GrowingFile() {
  close(descriptor_);
}

void GrowingFile::fail_writing() const {
  fail("{}: cannot write: {}", path_.string(), std::strerror(errno));
}

void GrowingFile::append(std::string_view piece) {
  while (!piece.empty()) {
    const ssize_t written = ::write(descriptor_, piece.data(), piece.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_writing();
    piece.remove_prefix(static_cast<size_t>(written));
    bytes_ += written;
  }
}

void GrowingFile::sync() {
  // There are file systems that cannot.
  if (fdatasync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP) fail_writing();
}

void GrowingFile::cut_to(int64_t bytes) {
  if (ftruncate(descriptor_, bytes) != 0 || lseek(descriptor_, 0, SEEK_END) < 0) fail_writing();
  bytes_ = bytes;
}

}  // namespace mtlora
