#include "lib/data/corpus.h"

#include <algorithm>
#include <utility>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/data/byte_order_mark.h"
#include "lib/data/table.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

// The files with one of the extensions in a folder and those below it, folder by folder.
std::vector<fs::path> files_below(const fs::path& folder,
                                  const std::vector<std::string>& extensions) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    const bool fits =
        std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
    if (entry.is_regular_file() && fits) files.push_back(entry.path());
  }
  if (files.empty())
    fail("{}: there is no file in it that ends in {}", folder.string(),
         fmt::join(extensions, ", "));
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<Split> with_names(std::vector<Split> splits, const CorpusOptions& options) {
  for (Split& split : splits)
    split.named = split.name == "train" ? options.train
                  : split.name == "dev" ? options.dev
                                        : options.test;
  return splits;
}

class CorpusTask final : public TextTask {
 public:
  CorpusTask(Corpus corpus, const CorpusOptions& options)
      : corpus_(std::move(corpus)),
        files_(with_names(corpus_.splits, options),
               {options.data, corpus_.extensions, corpus_.source}),
        max_malformed_(options.max_malformed) {}

  const TextTaskInfo& info() const override { return corpus_.info; }
  std::vector<std::string> splits() const override { return files_.present(); }
  void require(std::string_view split) const override { files_.file(files_.split(split)); }

  TextData load(std::string_view name) const override {
    const Split& split = files_.split(name);
    const fs::path file = files_.file(split);
    TextCollector collector(split.name);
    if (fs::is_directory(file))
      for (const fs::path& part : files_below(file, split.folder_extensions)) read(part, collector);
    else
      read(file, collector);
    return collector.finish({file, corpus_.prompts, max_malformed_, corpus_.known});
  }

 private:
  void read(const fs::path& file, TextCollector& into) const {
    const MappedFile bytes(file);
    const std::string_view content = without_bom(bytes.bytes(), file.string());
    if (without_last_line_ends(content).empty()) fail("{}: is empty", file.string());
    into.begin_file(file, bytes.bytes());
    corpus_.read(file, content, into);
  }

  Corpus corpus_;
  SplitFiles files_;
  int64_t max_malformed_;
};

}  // namespace

void CorpusOptions::fields(Fields& f) {
  f("data", data, "Folder of the task's files.");
  f("train", train, "File of the training split, where it has not its usual name.");
  f("dev", dev, "File of the dev split, likewise.");
  f("test", test, "File of the test split, likewise.");
  f("max_malformed", max_malformed,
    "Malformed entries of a split that may be left out; more are an error.", at_least(0));
}

std::unique_ptr<TextTask> open_corpus(Corpus corpus, const CorpusOptions& options) {
  return std::make_unique<CorpusTask>(std::move(corpus), options);
}

}  // namespace mtlora
