#include "lib/data/input_lines.h"

#include <utility>

#include "lib/core/error.h"
#include "lib/core/utf8.h"
#include "lib/data/byte_order_mark.h"
#include "lib/data/table.h"

namespace mtlora {

InputLines::InputLines(std::istream& in, std::string name) : in_(in), name_(std::move(name)) {}

bool InputLines::next(std::string& line) {
  if (!std::getline(in_, line)) {
    if (in_.bad()) fail("{}: cannot be read", name_);
    return false;
  }
  if (++number_ == 1) {
    line.erase(0, line.size() - without_bom(line, name_).size());
    if (line.empty() && in_.eof()) return false;  // there was nothing but the mark
  }
  if (number_ == 1 && in_.eof()) check_line_ends(line, name_);
  if (line.ends_with('\r')) line.pop_back();
  if (invalid_utf8(line)) fail("{}: is not valid UTF-8", where());
  return true;
}

std::string InputLines::where() const {
  return fmt::format("{}:{}", name_, number_);
}

}  // namespace mtlora
