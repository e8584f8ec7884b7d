#include "lib/run/find_runs.h"

#include <algorithm>
#include <set>

#include "lib/core/error.h"
#include "lib/run/run_folder.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// Whose config.json cannot be read is a run where it has left something else of one.
bool is_run(const fs::path& folder) {
  for (const char* of_run : {"result.json", "metrics.jsonl"})
    if (fs::exists(folder / of_run)) return true;
  try {
    return holds_run(folder);
  } catch (const Error&) {
    return false;
  }
}

void collect(const fs::path& folder, std::set<fs::path>& seen, std::vector<fs::path>& out) {
  if (!seen.insert(fs::canonical(folder)).second) return;  // links may go round
  std::error_code error;
  std::vector<fs::path> inside;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    std::error_code of_link;  // that leads nowhere
    if (entry.is_directory(of_link)) inside.push_back(entry.path());
  }
  if (error) fail("{}: cannot be looked into: {}", folder.string(), error.message());
  if (is_run(folder)) out.push_back(folder);
  std::sort(inside.begin(), inside.end());
  for (const fs::path& one : inside) collect(one, seen, out);
}

}  // namespace

std::vector<fs::path> find_runs(const fs::path& path) {
  if (!fs::exists(path)) fail("{}: there is no such folder", path.string());
  if (!fs::is_directory(path))
    fail("{}: no folder; a run is one, and one that holds runs may be named too", path.string());
  std::set<fs::path> seen;
  std::vector<fs::path> found;
  collect(path, seen, found);
  if (found.empty()) fail("{}: no run, and none below it", path.string());
  return found;
}

}  // namespace mtlora
