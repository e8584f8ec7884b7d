#include "lib/data/byte_order_mark.h"

#include "lib/core/error.h"

namespace mtlora {

std::string_view without_bom(std::string_view bytes, const std::string& origin) {
  if (bytes.starts_with("\xFF\xFE") || bytes.starts_with("\xFE\xFF"))
    fail("{}: is UTF-16; save it as UTF-8", origin);
  if (bytes.starts_with("\x1F\x8B")) fail("{}: is compressed by gzip; unpack it first", origin);
  if (bytes.starts_with("PK\x03\x04"))
    fail("{}: is a ZIP archive, as spreadsheets are; save it as text", origin);
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  return bytes;
}

}  // namespace mtlora
