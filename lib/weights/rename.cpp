#include "lib/weights/rename.h"

#include "lib/core/glob.h"

namespace mtlora {

std::string renamed(std::string name, const std::vector<Rename>& renames) {
  for (const auto& [pattern, replacement] : renames)
    if (const auto captures = glob_captures(pattern, name))
      name = glob_fill(replacement, *captures);
  return name;
}

}  // namespace mtlora
