// The tokenizers that several tests compare with Hugging Face, by the names of the goldens.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lib/core/files.h"
#include "lib/text/tokenizer.h"
#include "tests/support/paths.h"

namespace mtlora::test {

using Tokenizers = std::map<std::string, std::unique_ptr<Tokenizer>>;

/// The vocabulary in `folder` with a tokenizer_config.json of the test's own.
inline std::unique_ptr<Tokenizer> with_config(const std::filesystem::path& folder,
                                              const std::string& config) {
  const TempDir temp;
  for (const char* name : {"vocab.txt", "vocab.json", "merges.txt"})
    if (std::filesystem::exists(folder / name)) std::filesystem::copy(folder / name, temp / name);
  write_file_in_place(temp / "tokenizer_config.json", config);
  return load_tokenizer(temp.path());
}

inline std::filesystem::path small(const std::string& name) {
  return source_root() / "tests/cases/tokenizers/small" / name;
}

/// The three small ones of tests/cases.
inline Tokenizers small_tokenizers() {
  Tokenizers all;
  for (const char* name : {"bert", "roberta", "gpt2"})
    all.emplace(std::string("small_") + name, load_tokenizer(small(name)));
  return all;
}

/// The four of the shared folder; none where it is absent.
inline Tokenizers shared_tokenizers() {
  Tokenizers all;
  const auto folder = shared("tokenizers");
  if (!available(folder)) return all;
  all.emplace("bert_uncased", load_tokenizer(folder / "bert-base-uncased"));
  all.emplace("bert_cased",
              with_config(folder / "bert-base-uncased", R"({"do_lower_case": false})"));
  all.emplace("roberta", load_tokenizer(folder / "roberta_DERIVED"));
  all.emplace("gpt2", load_tokenizer(folder / "gpt2"));
  return all;
}

inline std::vector<int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.tokenize(text, ids);
  return ids;
}

}  // namespace mtlora::test
