// Files: read whole, mapped, or written so that a reader never sees half of one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace mtlora {

/// `path` without `.`, without a `/` at its end, and without each `..` that just undoes the part
/// before it: behind a symbolic link it stays, as it leads to where the link's folder lies.
std::filesystem::path plain_path(const std::filesystem::path& path);

/// The bytes of a file. Throws Error naming it when it cannot be read.
std::string read_file(const std::filesystem::path& file);

/// Writes beside, fsyncs, renames: `file` holds either its old or all of its new content. Throws
/// Error.
void write_file(const std::filesystem::path& file, std::string_view content);

/// Writes a file piece by piece as write_file() does at once: where finish() is never reached,
/// `file` is as it was. Throws Error naming it when the disk is full, say.
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& file);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::string_view piece);
  /// fsyncs and renames; nothing is written after it.
  void finish();

 private:
  struct Open;
  std::filesystem::path file_;
  std::unique_ptr<Open> open_;
};

/// Writes `content` at once to a new or emptied file and fsyncs it; for files of a folder that is
/// renamed as a whole.
void write_file_in_place(const std::filesystem::path& file, std::string_view content);

/// Puts a finished folder `from` in the place of `to` (which may exist) so that a whole one is
/// always there: at `to`, or, where the file system cannot exchange two names (NFS) and this is cut
/// short, at `to`.old.
void replace_folder(const std::filesystem::path& from, const std::filesystem::path& to);
/// What replace_folder() does where names cannot be exchanged.
void replace_folder_in_steps(const std::filesystem::path& from, const std::filesystem::path& to);
/// Brings back what a replacement that was cut short has left at `folder`.old. True: it has.
bool recover_folder(const std::filesystem::path& folder);
/// Whether `folder` is there, or will be once it is brought back.
bool can_be_recovered(const std::filesystem::path& folder);

/// A file's bytes in memory, read-only, as long as the object lives.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace mtlora
