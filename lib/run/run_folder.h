// A run's folder: when it may be written to, and what says that it is the same run.
#pragma once

#include <filesystem>

#include "lib/core/json.h"

namespace mtlora {

/// A run's folder in the hands of one program: two that write to it would spoil each other's
/// checkpoints. Held as long as the object lives, and not beyond the program's end.
class FolderLock {
 public:
  /// Makes the folder where it is not there. Throws Error where that fails, and where another
  /// program is at work in it.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

/// What of a run's configuration makes it another run: all but where things lie, which their hashes
/// answer for, and how the run goes on.
Json identity_of(const Json& config);

/// Whether the folder holds a run, finished or not, even one whose first step has not come; no
/// checkpoint or model, which have a config.json too.
bool holds_run(const std::filesystem::path& folder);

/// An existing run is continued when that is asked for, and never written over. Throws Error
/// otherwise; writes nothing.
void check_folder(const std::filesystem::path& folder, bool resume);

/// In a folder that is locked: checks it again, and writes a new run's configuration into it; or
/// opens that of a run to be resumed, and removes what a save that was killed has left. False: that
/// run is finished. Throws Error where the run there has another configuration.
bool open_folder(const std::filesystem::path& folder, bool resume, const Json& config);

}  // namespace mtlora
