// metrics.jsonl: one event a line. It holds no times, so that two runs that should be equal are
// equal byte for byte.
#pragma once

#include <cstdint>
#include <filesystem>

#include "lib/core/growing_file.h"
#include "lib/core/json.h"

namespace mtlora {

class EventLog {
 public:
  /// Opens the file, cut to its first `keep_bytes` (what a resumed run had written at its
  /// checkpoint). Throws Error.
  EventLog(const std::filesystem::path& file, int64_t keep_bytes);

  /// Appends one line, written through to the file. Throws Error (a full disk).
  void write(const Json& event);
  /// Until all of it is on the disk. Throws Error.
  void sync() { file_.sync(); }
  int64_t bytes() const { return file_.bytes(); }

 private:
  GrowingFile file_;
};

}  // namespace mtlora
