#include "lib/core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "lib/core/error.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// An open file descriptor, closed with its scope.
class Descriptor {
 public:
  Descriptor(const fs::path& file, int flags)
      : file_(file), fd_(open(file.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail("{}: cannot open: {}", file.string(), std::strerror(errno));
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }

  std::string read_all() const {
    struct stat info {};
    if (fstat(fd_, &info) != 0) fail_reading();
    if (S_ISDIR(info.st_mode)) fail("{}: is a folder, not a file", file_.string());
    // A byte more than there are, to see their end at once; of /proc and of pipes nobody knows.
    std::string content(static_cast<size_t>(std::max<off_t>(info.st_size, 4095)) + 1, '\0');
    size_t size = 0;
    for (;;) {
      const ssize_t more = ::read(fd_, content.data() + size, content.size() - size);
      if (more < 0 && errno == EINTR) continue;
      if (more < 0) fail_reading();
      if (more == 0) break;
      size += static_cast<size_t>(more);
      if (size == content.size()) content.resize(2 * size);
    }
    content.resize(size);
    return content;
  }

  void write_all(std::string_view content) {
    while (!content.empty()) {
      const ssize_t written = ::write(fd_, content.data(), content.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("{}: cannot write: {}", file_.string(), std::strerror(errno));
      content.remove_prefix(static_cast<size_t>(written));
    }
  }

  // Also closes: some file systems report a full disk only now.
  void sync() {
    const bool synced = fsync(fd_) == 0;
    const int why = errno;
    const bool closed = close(std::exchange(fd_, -1)) == 0;
    if (!synced || !closed)
      fail("{}: cannot write: {}", file_.string(), std::strerror(synced ? errno : why));
  }

 private:
  [[noreturn]] void fail_reading() const {
    fail("{}: cannot read: {}", file_.string(), std::strerror(errno));
  }

  fs::path file_;
  int fd_;
};

void sync_folder(const fs::path& folder) {
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);  // best effort: not every file system can
  close(fd);
}

void rename_or_fail(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail("{}: cannot be moved to {}: {}", from.string(), to.string(), error.message());
}

}  // namespace

fs::path plain_path(const fs::path& path) {
  fs::path plain;
  std::error_code ignored;
  for (const fs::path& part : path) {
    if (part.empty() || part == ".") continue;
    const bool is_back = part == ".." && plain.has_filename() && plain.filename() != "..";
    if (is_back && !fs::is_symlink(plain, ignored))
      plain = plain.parent_path();
    else
      plain /= part;
  }
  return plain.empty() && !path.empty() ? "." : plain;
}

std::string read_file(const fs::path& file) {
  return Descriptor(file, O_RDONLY).read_all();
}

void write_file_in_place(const fs::path& file, std::string_view content) {
  Descriptor out(file, O_WRONLY | O_CREAT | O_TRUNC);
  out.write_all(content);
  out.sync();
}

void write_file(const fs::path& file, std::string_view content) {
  FileWriter out(file);
  out.write(content);
  out.finish();
}

struct FileWriter::Open {
  explicit Open(const fs::path& file)
      : beside(file.string() + ".partial"), out(beside, O_WRONLY | O_CREAT | O_TRUNC) {}
  fs::path beside;
  Descriptor out;
};

FileWriter::FileWriter(const fs::path& file) : file_(file), open_(std::make_unique<Open>(file)) {}

FileWriter::~FileWriter() {
  if (!open_) return;
  std::error_code ignored;
  fs::remove(open_->beside, ignored);
}

void FileWriter::write(std::string_view piece) {
  open_->out.write_all(piece);
}

void FileWriter::finish() {
  open_->out.sync();
  rename_or_fail(open_->beside, file_);
  open_.reset();
  sync_folder(file_.parent_path());
}

void replace_folder(const fs::path& from, const fs::path& to) {
  sync_folder(from);
  if (!fs::exists(to)) {
    rename_or_fail(from, to);
    sync_folder(to.parent_path());
  } else if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    // Exchanged in one step: there is no moment without a whole folder at `to`. The disk has to
    // know of it before what was there goes.
    sync_folder(to.parent_path());
    std::error_code ignored;
    fs::remove_all(from, ignored);
  } else if (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP) {
    replace_folder_in_steps(from, to);
  } else {
    fail("{}: cannot be put in the place of {}: {}", from.string(), to.string(),
         std::strerror(errno));
  }
}

namespace {

fs::path aside_of(const fs::path& folder) {
  return folder.string() + ".old";
}

}  // namespace

void replace_folder_in_steps(const fs::path& from, const fs::path& to) {
  const fs::path aside = aside_of(to);
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  rename_or_fail(to, aside);
  rename_or_fail(from, to);
  sync_folder(to.parent_path());
  fs::remove_all(aside, ignored);
}

bool can_be_recovered(const fs::path& folder) {
  return fs::exists(folder) || fs::exists(aside_of(folder));
}

bool recover_folder(const fs::path& folder) {
  const fs::path aside = aside_of(folder);
  if (!fs::exists(aside)) return false;
  if (fs::exists(folder)) {
    std::error_code ignored;
    fs::remove_all(aside, ignored);
    return false;
  }
  rename_or_fail(aside, folder);
  return true;
}

MappedFile::MappedFile(const fs::path& file) : path_(file) {
  const Descriptor in(file, O_RDONLY);
  struct stat info {};
  if (fstat(in.get(), &info) != 0) fail("{}: cannot read: {}", file.string(), std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail("{}: is not a plain file", file.string());
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) return;
  void* mapped = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, in.get(), 0);
  if (mapped == MAP_FAILED) fail("{}: cannot be mapped: {}", file.string(), std::strerror(errno));
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() {
  if (data_) munmap(const_cast<char*>(data_), size_);
}

}  // namespace mtlora
