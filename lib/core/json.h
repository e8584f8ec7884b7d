// JSON, read strictly: `//` comments are allowed, a key that stands twice is an error, errors name
// file and line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace mtlora {

using Json = nlohmann::ordered_json;

/// How many arrays and objects may stand in each other: copying and writing them calls itself.
constexpr int kDeepestJson = 500;
/// What a parser's callback throws beyond that, an Error; `origin` begins the message.
[[noreturn]] void fail_json_depth(const std::string& origin);

/// Parses `text`; `origin` (a file name, say) begins every error message. Throws Error with the
/// line.
Json parse_json(std::string_view text, const std::string& origin);

/// Reads and parses a file. Throws Error naming it.
Json read_json(const std::filesystem::path& file);

}  // namespace mtlora
