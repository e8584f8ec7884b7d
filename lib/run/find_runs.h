// Where runs lie.
#pragma once

#include <filesystem>
#include <vector>

namespace mtlora {

/// The folders of runs, finished or not, even broken ones: `path` itself and those below it, links
/// included, in the order of their names. Throws Error where there is none, or what is there
/// cannot be read.
std::vector<std::filesystem::path> find_runs(const std::filesystem::path& path);

}  // namespace mtlora
