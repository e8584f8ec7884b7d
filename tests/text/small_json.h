// The tokenizer.json of a small vocabulary of tests/cases.
#pragma once

#include <sstream>
#include <string>

#include "lib/core/files.h"
#include "lib/core/json.h"
#include "tests/support/paths.h"
#include "tests/text/tokenizers.h"

namespace mtlora::test {

/// A tokenizer.json of a small vocabulary, as Hugging Face would save it.
inline Json small_json(const std::string& name) {
  const auto plain = load_tokenizer(small(name));
  Json json = {{"version", "1.0"},
               {"truncation", {{"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}}},
               {"padding", {{"strategy", {{"Fixed", 128}}}}}};
  for (int32_t id = 0; id < plain->vocab_size(); ++id) {
    json["model"]["vocab"][plain->token(id)] = id;
    if (plain->is_special(id))
      json["added_tokens"].push_back({{"id", id},
                                      {"content", plain->token(id)},
                                      {"single_word", false},
                                      {"lstrip", false},
                                      {"rstrip", false},
                                      {"normalized", false},
                                      {"special", true}});
  }
  const Json cls = {plain->special().cls >= 0 ? plain->token(plain->special().cls) : "",
                    plain->special().cls};
  const Json sep = {plain->special().sep >= 0 ? plain->token(plain->special().sep) : "",
                    plain->special().sep};
  if (name == "bert") {
    json["normalizer"] = {{"type", "BertNormalizer"},
                          {"clean_text", true},
                          {"handle_chinese_chars", true},
                          {"strip_accents", nullptr},
                          {"lowercase", true}};
    json["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
    json["post_processor"] = {{"type", "BertProcessing"}, {"cls", cls}, {"sep", sep}};
    json["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
    json["model"].update({{"type", "WordPiece"},
                          {"unk_token", "[UNK]"},
                          {"continuing_subword_prefix", "##"},
                          {"max_input_chars_per_word", 100}});
    return json;
  }
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  json["post_processor"] = name == "gpt2"
                               ? json["pre_tokenizer"]
                               : Json{{"type", "RobertaProcessing"}, {"cls", cls}, {"sep", sep}};
  json["decoder"] = {{"type", "ByteLevel"}};
  json["model"].update({{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"fuse_unk", false},
                        {"continuing_subword_prefix", ""},
                        {"end_of_word_suffix", ""}});
  std::istringstream merges(read_file(small(name) / "merges.txt"));
  for (std::string line; std::getline(merges, line);)
    if (!line.starts_with("#version")) json["model"]["merges"].push_back(line);
  return json;
}

inline std::unique_ptr<Tokenizer> load_json(const Json& json) {
  const TempDir folder;
  write_file_in_place(folder / "tokenizer.json", json.dump());
  return load_tokenizer(folder.path());
}

}  // namespace mtlora::test
