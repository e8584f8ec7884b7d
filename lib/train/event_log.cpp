#include "lib/train/event_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "lib/core/error.h"

namespace mtlora {

EventLog::EventLog(const std::filesystem::path& file, int64_t keep_bytes)
    : path_(file),
      descriptor_(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)),
      bytes_(keep_bytes) {
  struct stat info {};
  if (descriptor_ < 0 || fstat(descriptor_, &info) != 0)
    fail("{}: cannot be written: {}", file.string(), std::strerror(errno));
  if (info.st_size < keep_bytes)
    fail("{}: has {} bytes, but the checkpoint was made when it had {}", file.string(),
         info.st_size, keep_bytes);
  if (ftruncate(descriptor_, keep_bytes) != 0 || lseek(descriptor_, 0, SEEK_END) < 0)
    fail("{}: cannot be written: {}", file.string(), std::strerror(errno));
}

EventLog::~EventLog() {
  if (descriptor_ >= 0) close(descriptor_);
}

void EventLog::write(const Json& event) {
  const std::string line = event.dump() + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(descriptor_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("{}: cannot write: {}", path_.string(), std::strerror(errno));
    done += static_cast<size_t>(written);
  }
  bytes_ += static_cast<int64_t>(line.size());
}

void EventLog::sync() {
  if (fdatasync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP)
    fail("{}: cannot write: {}", path_.string(), std::strerror(errno));
}

}  // namespace mtlora
