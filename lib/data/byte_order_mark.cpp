#include "lib/data/byte_order_mark.h"

#include "lib/core/error.h"

namespace mtlora {

std::string_view without_bom(std::string_view bytes, const std::string& origin) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
    fail("{}: is UTF-16; save it as UTF-8", origin);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  return bytes;
}

}  // namespace mtlora
