// Names and cells of a file within a message: a file that is not what it should be has long ones,
// many, and bytes that a terminal would obey.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// `text` on one line, cut after 60 characters; control characters and bytes that are not UTF-8
/// are written as \n or \x1b.
std::string shown_text(std::string_view text);

/// The first 20 of them, and how many more there are: "a, b, … and 3 more".
std::string shown_list(const std::vector<std::string>& texts, std::string_view separator = ", ");

}  // namespace mtlora
