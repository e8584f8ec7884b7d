// Text that a command is given line by line, from a file or as a stream.
#pragma once

#include <cstddef>
#include <istream>
#include <string>

namespace mtlora {

class InputLines {
 public:
  /// `in` outlives the object; `name` is what errors call it.
  InputLines(std::istream& in, std::string name);

  /// Reads the next line into `line`, without its end (LF or CRLF) and, at the beginning of the
  /// input, without a byte-order mark; false at the end. Throws Error where the line is not UTF-8,
  /// the input is UTF-16, ends its lines in CR alone, or cannot be read.
  bool next(std::string& line);
  /// Where the line stands that was read last: "name:number".
  std::string where() const;

 private:
  std::istream& in_;
  std::string name_;
  size_t number_ = 0;
};

}  // namespace mtlora
