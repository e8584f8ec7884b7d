#include "lib/weights/rename.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <optional>

#include "lib/core/error.h"
#include "lib/core/glob.h"

namespace mtlora {
namespace {

// The joined name that `name` is a part of, if of any.
std::optional<std::string> joined(const std::string& name, const std::vector<Join>& joins) {
  for (const Join& join : joins)
    for (const std::string& part : join.parts)
      if (const auto captures = glob_captures(part, name)) return glob_fill(join.into, *captures);
  return std::nullopt;
}

// All parts of `into`, in the order of their rule.
std::vector<std::string> parts_of(const std::string& into, const std::vector<Join>& joins) {
  std::vector<std::string> parts;
  for (const Join& join : joins) {
    const auto captures = glob_captures(join.into, into);
    if (!captures) continue;
    for (const std::string& part : join.parts) parts.push_back(glob_fill(part, *captures));
    break;
  }
  return parts;
}

}  // namespace

std::string renamed(std::string name, const std::vector<Rename>& renames) {
  for (const auto& [pattern, replacement] : renames)
    if (const auto captures = glob_captures(pattern, name))
      name = glob_fill(replacement, *captures);
  return name;
}

std::map<std::string, std::vector<std::string>> sources(const std::vector<std::string>& names,
                                                        const NameMap& map,
                                                        const std::string& origin) {
  Problems problems;
  std::map<std::string, std::string> theirs;  // by renamed name
  for (const std::string& name : names) {
    if (std::any_of(map.ignored.begin(), map.ignored.end(),
                    [&](const std::string& pattern) { return glob_match(pattern, name); }))
      continue;
    const auto [at, is_new] = theirs.emplace(renamed(name, map.renames), name);
    if (!is_new)
      problems.add(fmt::format("{}: \"{}\" and \"{}\" are both our \"{}\"", origin, at->second,
                               name, at->first));
  }
  std::map<std::string, std::vector<std::string>> made_of;
  for (const auto& [ours, their] : theirs) {
    const auto into = joined(ours, map.joins);
    if (!into) {
      if (!made_of.emplace(ours, std::vector{their}).second)
        problems.add(fmt::format("{}: \"{}\" stands beside its parts", origin, their));
      continue;
    }
    if (made_of.contains(*into)) continue;
    auto& parts = made_of[*into];
    for (const std::string& part : parts_of(*into, map.joins)) {
      const auto found = theirs.find(part);
      if (found == theirs.end())
        problems.add(
            fmt::format("{}: lacks \"{}\", which stands with \"{}\"", origin, part, their));
      else
        parts.push_back(found->second);
    }
  }
  problems.raise();
  return made_of;
}

at::Tensor read_joined(const WeightFile& file, const std::vector<std::string>& names) {
  std::vector<at::Tensor> parts;
  for (const std::string& name : names) {
    parts.push_back(file.read(name));
    const at::Tensor &first = parts.front(), &last = parts.back();
    if (names.size() == 1) return first;
    if (last.dtype() != first.dtype() || last.dim() < 1 || first.dim() != last.dim() ||
        first.sizes().slice(1) != last.sizes().slice(1))
      fail("{}: \"{}\" {} [{}] and \"{}\" {} [{}] cannot be joined by rows", file.path().string(),
           names.front(), c10::toString(first.scalar_type()), fmt::join(first.sizes().vec(), ", "),
           name, c10::toString(last.scalar_type()), fmt::join(last.sizes().vec(), ", "));
  }
  return at::cat(parts);
}

}  // namespace mtlora
