#include "lib/text/foreign_json.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"

namespace mtlora {
namespace {

// What is wrong, without the exception's own name and place.
std::string detail_of(const std::string& what) {
  const size_t colon = what.find("column");
  const size_t detail = colon == std::string::npos ? colon : what.find(": ", colon);
  if (detail != std::string::npos) return what.substr(detail + 2);
  const size_t name = what.find("] ");
  return name == std::string::npos ? what : what.substr(name + 2);
}

}  // namespace

ForeignJson read_foreign_json(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  try {
    return ForeignJson::parse(text);
  } catch (const ForeignJson::parse_error& e) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(e.byte, text.size()));
    fail("{}:{}: not valid JSON: {}", file.string(), 1 + std::count(text.begin(), end, '\n'),
         detail_of(e.what()));
  } catch (const ForeignJson::exception& e) {  // a number like 1e999
    fail("{}: not valid JSON: {}", file.string(), detail_of(e.what()));
  }
}

}  // namespace mtlora
