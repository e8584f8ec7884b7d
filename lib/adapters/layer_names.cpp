#include "lib/adapters/layer_names.h"

#include <algorithm>
#include <cctype>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace mtlora {
namespace {

std::string last_component(const std::string& path) {
  return path.substr(path.rfind('.') + 1);
}

// "encoder.layer.*.output.dense" stands for all layers.
std::string with_stars(std::string path) {
  for (size_t i = 1; i < path.size(); ++i)
    if (std::isdigit(static_cast<unsigned char>(path[i])) && path[i - 1] == '.') {
      const size_t end = std::min(path.find('.', i), path.size());
      path.replace(i, end - i, "*");
    }
  return path;
}

}  // namespace

bool goes_by(const Names& names, std::string_view pattern) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return path_match(pattern, name); });
}

std::string nearest_name(std::string_view pattern, const std::vector<Names>& all) {
  const bool is_whole = pattern.find('.') != std::string_view::npos;
  Names known;
  for (const Names& names : all)
    for (const std::string& name : names) known.push_back(is_whole ? name : last_component(name));
  return nearest(pattern, known);
}

std::string naming_help(const std::vector<Names>& all) {
  Names shown;
  for (const Names& names : all)
    for (const std::string& name : names)
      if (const std::string starred = with_stars(name);
          std::find(shown.begin(), shown.end(), starred) == shown.end())
        shown.push_back(starred);
  return fmt::format(
      "A name is for the last component of a path, a pattern with dots for the whole path "
      "(* is any part of it, ** may cross dots). There are:\n  {}",
      fmt::join(shown, "\n  "));
}

}  // namespace mtlora
