#include "lib/core/json.h"

#include <algorithm>
#include <set>
#include <vector>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/json_fault.h"

namespace mtlora {

void fail_json_depth(const std::string& origin) {
  fail("{}: not valid JSON: more than {} arrays and objects stand in each other", origin,
       kDeepestJson);
}

Json parse_json(std::string_view text, const std::string& origin) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string twice;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth > kDeepestJson) fail_json_depth(origin);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
      twice = value.get<std::string>();
    return true;
  };
  Json json;
  try {
    json = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/true,
                       /*ignore_comments=*/true);
  } catch (const Json::out_of_range& e) {  // a number like 1e999
    fail("{}: not valid JSON: {}", origin, json_fault(e.what()));
  } catch (const Json::parse_error& e) {
    const size_t at = std::min(e.byte, text.size());
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    const std::string what = e.what();
    const bool of_bytes = what.find("UTF-8") != std::string::npos;  // it would repeat them
    fail("{}:{}: not valid {}", origin, line, of_bytes ? "UTF-8" : "JSON: " + json_fault(what));
  }
  if (!twice.empty()) fail("{}: the key \"{}\" stands twice in one object", origin, twice);
  return json;
}

Json read_json(const std::filesystem::path& file) {
  return parse_json(read_file(file), file.string());
}

}  // namespace mtlora
