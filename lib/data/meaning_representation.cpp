#include "lib/data/meaning_representation.h"

#include <array>
#include <utility>

#include "lib/core/error.h"
#include "lib/data/shown_text.h"

namespace mtlora {
namespace {

// microsoft/LoRA's names of attributes, where they are others.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> names = {{
    {"eatType", "Type"},
    {"familyFriendly", "family friendly"},
    {"priceRange", "price"},
}};

std::string_view name_of(std::string_view attribute) {
  for (const auto& [csv, lora] : names)
    if (csv == attribute) return lora;
  return attribute;
}

// Values are tokenised there: "£20-25" is "£ 20 - 25".
std::string spaced(std::string_view value) {
  constexpr std::string_view pound = "£";
  std::string out;
  for (size_t at = 0; at < value.size();) {
    const bool is_pound = value.substr(at).starts_with(pound);
    const bool is_dash = value[at] == '-';
    const size_t size = is_pound ? pound.size() : 1;
    if (is_dash && !out.empty() && out.back() != ' ') out += ' ';
    out += value.substr(at, size);
    at += size;
    if ((is_pound || is_dash) && at < value.size() && value[at] != ' ') out += ' ';
  }
  return out;
}

}  // namespace

std::string context_of_meaning(std::string_view meaning) {
  constexpr std::string_view comma = ", ";
  std::string context;
  for (std::string_view rest = meaning;;) {
    const size_t open = rest.find('['), close = rest.find(']');
    const bool fits = open != 0 && open < close && close != rest.npos;
    if (!fits)
      fail("\"{}\" is not a list of attributes, name[value], name[value]: see \"{}\"",
           shown_text(meaning), shown_text(rest));
    context += name_of(rest.substr(0, open));
    context += " : " + spaced(rest.substr(open + 1, close - open - 1));
    rest.remove_prefix(close + 1);
    if (rest.empty()) return context;
    if (!rest.starts_with(comma))
      fail("\"{}\": \", \" is wanted between attributes: see \"{}\"", shown_text(meaning),
           shown_text(rest));
    rest.remove_prefix(comma.size());
    context += " | ";
  }
}

}  // namespace mtlora
