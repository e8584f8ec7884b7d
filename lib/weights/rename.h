// A checkpoint's names → ours, declared: rename, leave out, join. Patterns are those of
// lib/core/glob.h.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/weights/weight_file.h"

namespace mtlora {

/// {"bert.**", "**"} strips a prefix; {"**.gamma", "**.weight"} calls a scale by its newer name.
struct Rename {
  std::string pattern, replacement;
};

/// Tensors that are one of ours, their rows one after another:
/// {"**.self.query_key_value.*", {"**.self.query.*", "**.self.key.*", "**.self.value.*"}}.
struct Join {
  std::string into;
  std::vector<std::string> parts;
};

struct NameMap {
  std::vector<Rename> renames;       ///< each applied once, in order, where it matches
  std::vector<std::string> ignored;  ///< the checkpoint's own names
  std::vector<Join> joins;           ///< of renamed names; every wildcard stands in all of them
};

/// Throws Error where a replacement has other wildcards than its pattern.
std::string renamed(std::string name, const std::vector<Rename>& renames);

/// For each of our names, the checkpoint's tensors it is made of: one, or the parts of a join.
/// Throws Error (beginning with `origin`) where two give the same name or a join lacks a part.
std::map<std::string, std::vector<std::string>> sources(const std::vector<std::string>& names,
                                                        const NameMap& map,
                                                        const std::string& origin);

/// The tensors, rows one after another [rows of all, …]; one alone as it is. Throws Error where
/// they differ in type or in the sizes of a row.
at::Tensor read_joined(const WeightFile& file, const std::vector<std::string>& names);

}  // namespace mtlora
