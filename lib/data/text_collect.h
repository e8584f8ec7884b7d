// Entries of files become the pairs and prompts of one split; malformed ones are collected and
// reported together.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/error.h"
#include "lib/data/text_task.h"

namespace mtlora {

/// What a file says of one context.
struct TextEntry {
  std::string context;
  std::vector<std::string> texts{};  ///< a pair each
  std::string group{};
  std::optional<std::vector<std::string>> references{};  ///< none: the texts
};

/// How many entries and texts a split of a published data set has.
struct KnownCounts {
  std::string split;
  size_t entries, texts;
  std::string name;  ///< of the file that has these counts; "" where it goes without saying
};

/// Whether entries with the same context (and group) are one prompt, with all their references, or
/// one each.
enum class Prompts { each, distinct };

/// Gathers the entries of one split's files.
class TextCollector {
 public:
  explicit TextCollector(std::string split) { data_.split = std::move(split); }

  const std::string& split() const { return data_.split; }
  bool is_test() const { return data_.split == "test"; }

  /// The entries that follow are of this file.
  void begin_file(const std::filesystem::path& file, std::string_view bytes);
  /// Adds what `read` returns. An Error that it throws, or a text that is not UTF-8, makes the
  /// entry that begins on `line` malformed.
  void add(size_t line, const std::function<TextEntry()>& read);
  /// Counts a text that is left out because its comment is not "good".
  void leave_out(const std::string& comment) { ++left_out_[comment]; }
  void note(std::string text) { data_.notes.push_back(std::move(text)); }

  struct Finish {
    std::filesystem::path origin;  ///< the split's file or folder, for errors
    Prompts prompts = Prompts::each;
    int64_t max_malformed = 0;
    std::vector<KnownCounts> known{};  ///< of any split
  };
  /// The data set. Throws Error with the malformed entries when there are more than
  /// `max_malformed`, and when there is nothing left to learn from or to answer.
  TextData finish(const Finish& with);

 private:
  void take(TextEntry&& entry, size_t line);
  void note_counts(const std::vector<KnownCounts>& known);
  void join_prompts();
  void note_texts();

  TextData data_;
  Problems problems_;
  bool valid_utf8_ = true;
  uint64_t hash_ = 0;
  std::map<std::string, size_t> left_out_;
};

}  // namespace mtlora
