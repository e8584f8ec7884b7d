// Which file of a task's folder holds which split.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mtlora {

/// One split: its name, the shorter one it also goes by, and its file.
struct Split {
  std::string name, alias;
  std::vector<std::string> stems;    ///< usual file names without extension
  std::string option;                ///< the option that names another file; "": there is none
  std::optional<std::string> named;  ///< the value of that option: a file of the folder, or a path
  std::vector<std::string> stand_ins{};  ///< stems looked for where none of the others is there
  /// If not empty, a folder of the split's name may hold it, in files with these extensions.
  std::vector<std::string> folder_extensions{};
};

class SplitFiles {
 public:
  struct Where {
    std::filesystem::path folder;
    std::vector<std::string> extensions;  ///< ".tsv", …
    std::string source;  ///< a sentence: where such files are to be had and where to put them
  };
  SplitFiles(std::vector<Split> splits, Where where);

  /// The splits that have a file. Throws Error where one is named that is not there.
  std::vector<std::string> present() const;
  /// The split of that name or alias. Throws Error with the nearest known name.
  const Split& split(std::string_view name) const;
  /// The split's file (or folder), or nothing. Throws Error when there are several, and when the
  /// one that is named is not there.
  std::optional<std::filesystem::path> find(const Split& split) const;
  /// What a split's file may be called: "train.csv, train.tsv".
  std::string wanted(const Split& split) const;
  /// The split's file (or folder). Throws Error: what was looked for, where, what is there, where
  /// to get it.
  std::filesystem::path file(const Split& split) const;

 private:
  std::vector<std::filesystem::path> candidates(const Split& split) const;
  std::vector<std::filesystem::path> with_extensions(const std::vector<std::string>& stems) const;

  std::vector<Split> splits_;
  Where where_;
};

}  // namespace mtlora
