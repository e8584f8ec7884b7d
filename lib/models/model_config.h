// A Hugging Face config.json. Foreign JSON: keys we do not know are not ours to judge; one that we
// need and that is missing is an error.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

class ModelConfig {
 public:
  /// Reads `folder`/config.json, or what a GGUF file, or the only one of a folder, says of its
  /// model. Throws Error naming what is missing and how to get a model.
  explicit ModelConfig(const std::filesystem::path& folder);
  ModelConfig(Json json, std::string origin) : json_(std::move(json)), origin_(std::move(origin)) {}

  int64_t integer(const char* key) const;  ///< a whole number from 0 to 2^30
  double number(const char* key) const;
  std::string text(const char* key) const;
  double number_or(const char* key, double otherwise) const;
  int64_t integer_or(const char* key, int64_t otherwise) const;
  double dropout_or(const char* key, double otherwise) const;  ///< in [0, 1)
  double epsilon_or(const char* key, double otherwise) const;  ///< of a norm: 0 or more
  bool flag_or(const char* key, bool otherwise) const;
  std::string text_or(const char* key, const std::string& otherwise) const;
  /// Throws Error unless `key` is absent or `wanted`: for variants that the model's file does not
  /// implement.
  void require(const char* key, const std::string& wanted) const;
  /// The same of a flag: unless it is absent or false.
  void require_off(const char* key) const;

  std::string model_type() const { return text("model_type"); }
  /// Of a checkpoint with a classification head: its labels in order (id2label), or empty. One that
  /// is a whole number is its digits.
  std::vector<std::string> labels() const;
  const Json& json() const { return json_; }
  const std::string& origin() const { return origin_; }

 private:
  const Json& find(const char* key) const;

  Json json_;
  std::string origin_;
};

}  // namespace mtlora
