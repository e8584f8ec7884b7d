// A text task that reads its splits from files: what its formats have in common.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/options.h"
#include "lib/data/split_files.h"
#include "lib/data/text_collect.h"
#include "lib/data/text_task.h"

namespace mtlora {

/// The options that every such task has.
struct CorpusOptions {
  std::string data;
  std::optional<std::string> train, dev, test;
  int64_t max_malformed = 0;

  void fields(Fields& f);
};

/// Adds the entries of one file to the collector; `content` is without a byte-order mark and not
/// empty.
using ReadCorpus = std::function<void(const std::filesystem::path& file, std::string_view content,
                                      TextCollector& into)>;

struct Corpus {
  TextTaskInfo info;
  std::string source;         ///< a sentence: where the files are to be had
  std::vector<Split> splits;  ///< their options' values are filled in
  std::vector<std::string> extensions;
  Prompts prompts = Prompts::each;
  std::vector<KnownCounts> known{};
  ReadCorpus read;
};

std::unique_ptr<TextTask> open_corpus(Corpus corpus, const CorpusOptions& options);

}  // namespace mtlora
