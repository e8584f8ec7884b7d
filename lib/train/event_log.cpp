#include "lib/train/event_log.h"

#include "lib/core/error.h"

namespace mtlora {

EventLog::EventLog(const std::filesystem::path& file, int64_t keep_bytes) : file_(file) {
  if (file_.bytes() < keep_bytes)
    fail("{}: has {} bytes, but the checkpoint was made when it had {}", file.string(),
         file_.bytes(), keep_bytes);
  file_.cut_to(keep_bytes);
}

void EventLog::write(const Json& event) {
  file_.append(event.dump() + "\n");
}

}  // namespace mtlora
