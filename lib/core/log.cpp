#include "lib/core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "lib/core/error.h"

namespace mtlora::log {
namespace {

constexpr size_t kMostKept = 1000;

struct Sinks {
  std::shared_ptr<spdlog::sinks::stderr_color_sink_mt> terminal;
  /// What was said before there was a file.
  std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> kept;
  spdlog::logger logger;
  spdlog::logger file{"mtlora"};  ///< of no sink before also_to()

  Sinks()
      : terminal(std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
            colours() ? spdlog::color_mode::always : spdlog::color_mode::never)),
        kept(std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kMostKept)),
        logger("mtlora", {terminal, kept}) {
    terminal->set_pattern("%^%v%$");
    terminal->set_color(spdlog::level::info, "");
    logger.flush_on(spdlog::level::info);
    file.flush_on(spdlog::level::info);
  }
};

Sinks& sinks() {
  static Sinks only;
  return only;
}

void write(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

// The terminal's last line, which is rewritten.
class Status {
 public:
  void show(std::string_view line) {
    const std::scoped_lock lock(mutex_);
    if (line.empty() && !is_shown_) return;
    write("\r\033[K" + std::string(fitting(line, room())));
    is_shown_ = !line.empty();
  }

 private:
  // Without the parts, two spaces between them, that have no room: half a number misleads.
  static std::string_view fitting(std::string_view line, size_t room) {
    if (line.size() <= room) return line;
    return line.substr(0, std::min(line.rfind("  ", room), room));
  }

  // A line that goes on in the next cannot be taken back.
  static size_t room() {
    struct winsize size {};
    const bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return is_known ? size.ws_col - 1U : std::string_view::npos;
  }

  std::mutex mutex_;
  bool is_shown_ = false;
};

Status& status() {
  static Status only;
  return only;
}

}  // namespace

void info(const std::string& message) {
  status().show("");
  sinks().logger.info(message);
}
void warn(const std::string& message) {
  status().show("");
  sinks().logger.warn("warning: " + message);
}

void to_terminal(std::string_view text) {
  status().show("");
  write(text);
}

void to_file(const std::string& message) {
  sinks().file.info(message);
}

void show_status(std::string_view line) {
  status().show(line);
}

void also_to(const std::filesystem::path& file) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S %v");
    if (const auto kept = std::exchange(sinks().kept, nullptr))
      for (const auto& message : kept->last_raw()) sink->log(message);
    sink->flush();
    sinks().logger.sinks() = {sinks().terminal, sink};
    sinks().file.sinks() = {sink};
  } catch (const spdlog::spdlog_ex& e) {
    fail("{}: cannot write the log: {}", file.string(), e.what());
  }
}

void quiet(bool on) {
  sinks().terminal->set_level(on ? spdlog::level::warn : spdlog::level::info);
}

bool colours() {
  const char* term = std::getenv("TERM");
  const char* no = std::getenv("NO_COLOR");
  return isatty(STDERR_FILENO) && !(no && *no) && term && std::string_view(term) != "dumb";
}

}  // namespace mtlora::log
