// Tasks that ask for a text: data-to-text, or any prompt that is to be continued. They are listed
// in tasks.def beside the tasks with labels (task.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// A context and one text written for it: one training example.
struct TextPair {
  std::string context, completion;
  size_t file = 0, line = 0;  ///< where it stands: in which of the split's files, and there
};

/// A context to be answered, and the texts it may be compared with.
struct Prompt {
  std::string context;
  std::vector<std::string> references{};  ///< none: it cannot be scored
  std::string group{};                    ///< one of the task's groups, or ""
};

/// One split: the same texts as pairs to learn from and as prompts to answer, both in file order.
struct TextData {
  std::string split;
  std::vector<TextPair> pairs;  ///< none where the files hold no texts, as in a test set
  std::vector<Prompt> prompts;
  std::vector<std::filesystem::path> files;
  std::string hash;                ///< 16 hex digits of the files' bytes
  size_t malformed = 0;            ///< entries or rows that were left out
  std::string malformed_rows;      ///< the first 20 of them, a line each: file:line: what is wrong
  std::vector<std::string> notes;  ///< what to tell the user: counts that differ from the known
                                   ///< ones, prompts without references, texts left out, …

  /// "file:line" of one of its pairs.
  std::string place_of(const TextPair& pair) const {
    return files.at(pair.file).string() + ":" + std::to_string(pair.line);
  }
};

struct TextTaskInfo {
  std::string name{};
  std::vector<std::string> groups{};   ///< of prompts; scores are told for each beside those of all
  std::string score_preset{};          ///< "e2e", "webnlg", "dart", or "" for data of one's own
  std::string context_key = "prompt";  ///< of a context in JSON lines that come alone
};

/// A task with its options set. Reads files only when asked to load.
class TextTask {
 public:
  virtual ~TextTask() = default;
  virtual const TextTaskInfo& info() const = 0;
  /// The splits whose files are there, of {"train", "dev", "test"}. Throws Error where an option
  /// names a file that is not.
  virtual std::vector<std::string> splits() const = 0;
  /// Throws what load() would where there is no file of the split.
  virtual void require(std::string_view split) const = 0;
  /// Reads a split. Throws Error: no such split or file, a layout that is not known, malformed
  /// entries (all together), nothing to learn from in "train", no prompt in any other.
  virtual TextData load(std::string_view split) const = 0;
};

}  // namespace mtlora
