#include "lib/data/split_files.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

std::vector<std::string> file_names(const std::vector<fs::path>& files) {
  std::vector<std::string> names;
  for (const fs::path& file : files) names.push_back(file.filename().string());
  return names;
}

// What a folder holds, for an error; the first twelve names.
std::string listing(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string() + (entry.is_directory() ? "/" : ""));
  if (names.empty()) return "the folder is empty";
  std::sort(names.begin(), names.end());
  const size_t shown = std::min<size_t>(names.size(), 12);
  return fmt::format(
      "the folder holds {}{}",
      fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
      shown < names.size() ? ", …" : "");
}

[[noreturn]] void fail_named(const std::string& option, const fs::path& file) {
  const fs::path folder = file.parent_path();
  fail("/task/{}: there is no file {}; {}", option, file.string(),
       fs::is_directory(folder) ? listing(folder) : "its folder is not there either");
}

}  // namespace

SplitFiles::SplitFiles(std::vector<Split> splits, Where where)
    : splits_(std::move(splits)), where_(std::move(where)) {}

std::vector<std::string> SplitFiles::present() const {
  std::vector<std::string> names;
  for (const Split& split : splits_)
    if (find(split)) names.push_back(split.name);
  return names;
}

const Split& SplitFiles::split(std::string_view name) const {
  std::vector<std::string> known;
  for (const Split& split : splits_) {
    if (split.name == name || (!split.alias.empty() && split.alias == name)) return split;
    known.push_back(split.name);
  }
  fail("{}", unknown("split", name, known));
}

std::vector<fs::path> SplitFiles::with_extensions(const std::vector<std::string>& stems) const {
  std::vector<fs::path> files;
  for (const std::string& stem : stems)
    for (const std::string& extension : where_.extensions)
      files.push_back(where_.folder / (stem + extension));
  return files;
}

std::vector<fs::path> SplitFiles::candidates(const Split& split) const {
  if (split.named) return {where_.folder / *split.named};
  std::vector<fs::path> files = with_extensions(split.stems);
  if (!split.folder_extensions.empty()) files.push_back(where_.folder / split.name);
  return files;
}

std::optional<fs::path> SplitFiles::find(const Split& split) const {
  if (where_.folder.empty() && !split.named) return std::nullopt;  // not the folder one stands in
  const auto absent = [&](const fs::path& file) {
    const bool is_folder = !split.folder_extensions.empty() && fs::is_directory(file);
    return !is_folder && !fs::is_regular_file(file);
  };
  std::vector<fs::path> there = candidates(split);
  std::erase_if(there, absent);
  if (split.named && there.empty()) fail_named(split.option, candidates(split).front());
  if (there.empty()) {
    there = with_extensions(split.stand_ins);
    std::erase_if(there, absent);
  }
  if (there.size() > 1)
    fail("{}: more than one file of the {} split: {}; {}", where_.folder.string(), split.name,
         fmt::join(file_names(there), ", "),
         split.option.empty() ? "leave one" : "name one with task." + split.option);
  return there.empty() ? std::nullopt : std::optional(there.front());
}

std::string SplitFiles::wanted(const Split& split) const {
  std::vector<fs::path> looked = candidates(split);
  for (fs::path& file : with_extensions(split.stand_ins)) looked.push_back(std::move(file));
  return fmt::format("{}", fmt::join(file_names(looked), ", "));
}

fs::path SplitFiles::file(const Split& split) const {
  const std::string folder = where_.folder.string();
  if (folder.empty() && !split.named)
    fail("/task/data: name the folder of the train, dev and test files");
  if (!folder.empty() && !fs::is_directory(where_.folder))
    fail("{}: there is no such folder. {}", folder, where_.source);
  if (const auto found = find(split)) return *found;
  const std::string another = " A file of another name is named with task." + split.option + ".";
  fail("{}: there is no file of the {} split: looked for {}; {}. {}{}", folder, split.name,
       wanted(split), listing(where_.folder), where_.source, split.option.empty() ? "" : another);
}

}  // namespace mtlora
