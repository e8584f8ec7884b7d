#include "lib/core/processes.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace mtlora {
namespace {

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// Of proc(5)'s stat: its state, and when it began in clock ticks since the machine did.
struct Found {
  char state = 0;  // 0: there is no such process
  std::string began;
};

Found find(const std::string& pid) {
  const std::string stat = first_line("/proc/" + pid + "/stat");
  const size_t name_ends = stat.rfind(')');  // the name before may hold anything
  if (name_ends == std::string::npos || name_ends + 2 >= stat.size()) return {};
  std::istringstream fields(stat.substr(name_ends + 2));
  Found found;
  fields >> found.state;
  for (int field = 4; field <= 22; ++field) fields >> found.began;
  return found;
}

// Numbers of processes are those of a container.
std::string surroundings() {
  std::error_code unknown;
  return machine_mark() + " " +
         std::filesystem::read_symlink("/proc/self/ns/pid", unknown).string();
}

std::string mark_of(const std::string& pid) {
  return pid + " " + find(pid).began + " " + surroundings();
}

}  // namespace

std::string machine_mark() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return std::string(name.data()) + " " + first_line("/proc/sys/kernel/random/boot_id");
}

std::string process_mark() {
  std::error_code unknown;
  return mark_of(std::filesystem::read_symlink("/proc/self", unknown).string());
}

std::string process_mark(int pid) {
  return mark_of(std::to_string(pid));
}

bool has_ended(const std::string& mark) {
  std::istringstream words(mark);
  std::string pid, began, where;
  words >> pid >> began;
  std::getline(words >> std::ws, where);
  if (began.empty() || where != surroundings()) return false;
  const Found found = find(pid);
  if (find("self").state == 0) return false;  // nothing can be found at all
  // a zombie, or another process that has the number by now
  return found.state == 0 || found.state == 'Z' || found.state == 'X' || found.began != began;
}

double seconds_since_start() {
  const double began = std::stod(find("self").began) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return std::stod(first_line("/proc/uptime")) - began;
}

}  // namespace mtlora
