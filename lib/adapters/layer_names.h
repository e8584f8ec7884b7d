// The names by which a config finds layers and tensors of a model, and what is said where a pattern
// finds none.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// All names of one thing: GPT-2's query goes by "….attn.c_attn.query" and by "….attn.c_attn".
using Names = std::vector<std::string>;

/// Whether `pattern` (path_match() of lib/core/glob.h) fits one of the names.
bool goes_by(const Names& names, std::string_view pattern);

/// The name of all these nearest to a pattern that fits none, or "" where none is near: a whole
/// path where the pattern is for one, else the last component of one.
std::string nearest_name(std::string_view pattern, const std::vector<Names>& all);

/// How patterns are written, and the names there are, with * for their numbers.
std::string naming_help(const std::vector<Names>& all);

}  // namespace mtlora
