// What predict and generate answer: a split of the task, or the lines of a file or of stdin.
#pragma once

#include <fstream>
#include <functional>
#include <istream>
#include <string>
#include <vector>

namespace mtlora {

/// Throws UsageError where both --input and --split are given.
void check_input_options(const std::string& input, const std::string& split);

/// The lines that --input names.
class InputSource {
 public:
  /// "" and "-": stdin. Throws Error where there is no file that can be read.
  explicit InputSource(const std::string& input);

  std::istream& stream() { return is_stdin_ ? std_in() : file_; }
  /// As errors call it.
  const std::string& name() const { return name_; }
  /// Of the file's name, in lower case: ".jsonl"; "" of stdin.
  const std::string& extension() const { return extension_; }
  /// Whether nothing more has come of a stream, and nothing comes for a moment.
  bool is_idle();
  bool is_json_lines() const { return extension_ == ".jsonl"; }
  /// Throws Error where the file's name ends in one of these, which hold more than texts, one a
  /// line: a table's header and its other columns would be taken for texts.
  void refuse(const std::vector<std::string>& extensions) const;

 private:
  static std::istream& std_in();

  bool is_stdin_;
  std::string name_, extension_;
  std::ifstream file_;
};

/// Calls `take` with every line and where it stands ("name:number"), and `answer` after 256 of
/// them, wherever a stream has no more for now, and at the end.
void for_lines(InputSource& input,
               const std::function<void(const std::string& line, const std::string& where)>& take,
               const std::function<void()>& answer);

}  // namespace mtlora
