#include "lib/text/foreign_json.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/json_fault.h"

namespace mtlora {
ForeignJson read_foreign_json(const std::filesystem::path& file) {
  const std::string text = read_file(file);
  try {
    return ForeignJson::parse(text);
  } catch (const ForeignJson::parse_error& e) {
    const auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(e.byte, text.size()));
    fail("{}:{}: not valid JSON: {}", file.string(), 1 + std::count(text.begin(), end, '\n'),
         json_fault(e.what()));
  } catch (const ForeignJson::exception& e) {  // a number like 1e999
    fail("{}: not valid JSON: {}", file.string(), json_fault(e.what()));
  }
}

}  // namespace mtlora
