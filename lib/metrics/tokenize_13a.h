// The tokenization of mteval-v13a.pl (NIST's script of BLEU and NIST) for Western languages; the
// Python port of e2e-metrics and sacreBLEU's "13a" are the same.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// Punctuation becomes words of its own; full stops and commas between digits stay where they are,
/// and so does a hyphen that no digit stands before. Case is kept.
std::vector<std::string> tokenize_13a(std::string_view text);

}  // namespace mtlora
