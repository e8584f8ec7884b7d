// The tokenizers that several tests compare with Hugging Face, by the names of the goldens.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lib/core/files.h"
#include "lib/text/tokenizer.h"
#include "tests/support/paths.h"
#include "tests/text/deberta_json.h"

namespace mtlora::test {

using Tokenizers = std::map<std::string, std::unique_ptr<Tokenizer>>;

/// The vocabulary in `folder` with a tokenizer_config.json of the test's own.
inline std::unique_ptr<Tokenizer> with_config(const std::filesystem::path& folder,
                                              const std::string& config) {
  const TempDir temp;
  for (const char* name : {"vocab.txt", "vocab.json", "merges.txt", "spm.model"})
    if (std::filesystem::exists(folder / name)) std::filesystem::copy(folder / name, temp / name);
  write_file_in_place(temp / "tokenizer_config.json", config);
  return load_tokenizer(temp.path());
}

inline std::filesystem::path small(const std::string& name) {
  return source_root() / "tests/cases/tokenizers/small" / name;
}

/// The small ones of tests/cases: three of words and bytes, five of one SentencePiece model.
inline Tokenizers small_tokenizers() {
  Tokenizers all;
  all.emplace("small_deberta", load_tokenizer(small("deberta")));
  all.emplace(
      "small_deberta_options",
      with_config(small("deberta"),
                  R"({"do_lower_case": true, "split_by_punct": true, "add_prefix_space": false})"));
  all.emplace("small_deberta_saved", load_tokenizer(small("deberta_saved")));
  const auto model = read_sentencepiece_model(small("deberta") / "spm.model");
  all.emplace("small_deberta_v4", from_json(deberta_v4_json(model)));
  Json with_bytes = deberta_v4_json(model);
  with_bytes["model"]["byte_fallback"] = true;
  all.emplace("small_deberta_bytes", from_json(with_bytes));
  for (const char* name : {"bert", "roberta", "gpt2"})
    all.emplace(std::string("small_") + name, load_tokenizer(small(name)));
  return all;
}

/// The Llama of the shared weights with a Metaspace, as transformers' LlamaTokenizer has it today.
inline std::unique_ptr<Tokenizer> llama_with(const Json& metaspace) {
  Json json = read_json(shared("weights/stories260K/tokenizer.json"));
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = metaspace;
  return from_json(json);
}

/// The eight of the shared folder; none where it is absent.
inline Tokenizers shared_tokenizers() {
  Tokenizers all;
  const auto folder = shared("tokenizers");
  if (!available(folder)) return all;
  all.emplace("bert_uncased", load_tokenizer(folder / "bert-base-uncased"));
  all.emplace("bert_cased",
              with_config(folder / "bert-base-uncased", R"({"do_lower_case": false})"));
  all.emplace("roberta", load_tokenizer(folder / "roberta_DERIVED"));
  all.emplace("gpt2", load_tokenizer(folder / "gpt2"));
  all.emplace("deberta", with_config(folder / "deberta-v3",
                                     R"({"do_lower_case": false, "vocab_type": "spm"})"));
  all.emplace(
      "deberta_v4",
      from_json(deberta_v4_json(read_sentencepiece_model(folder / "deberta-v3/spm.model"))));
  all.emplace("llama_first", llama_with({{"type", "Metaspace"},
                                         {"replacement", "\u2581"},
                                         {"prepend_scheme", "first"},
                                         {"split", false}}));
  all.emplace("llama_split", llama_with({{"type", "Metaspace"},
                                         {"replacement", "\u2581"},
                                         {"prepend_scheme", "always"},
                                         {"split", true}}));
  return all;
}

inline std::vector<int32_t> ids_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids;
  tokenizer.tokenize(text, ids);
  return ids;
}

}  // namespace mtlora::test
