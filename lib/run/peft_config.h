// PEFT's adapter_config.json: LoraConfig's values by their types, and whether it asks for anything
// that is not computed here. For the files of this folder only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

/// A value as PEFT writes it: a whole one as an integer.
Json json_number(double value);

class PeftConfig {
 public:
  /// Throws Error where it cannot be read, is of no LoRA, or has a value that would change what the
  /// adapter computes and is not known here.
  explicit PeftConfig(std::filesystem::path file);

  const std::filesystem::path& file() const { return file_; }
  // Each throws Error where the value is of another type.
  bool flag(const char* key) const;
  double number(const char* key, double otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  std::vector<std::string> names(const char* key) const;  ///< a list; null: none
  /// The value of the first of `patterns`' regular expressions that fits the end of `path` from the
  /// beginning of a component on (peft.utils.other.get_pattern_key); none fits: `otherwise`.
  double by_pattern(const char* patterns, const std::string& path, double otherwise) const;
  /// Whether target_modules, exclude_modules and layers_to_transform say that a layer is adapted
  /// (peft.tuners.tuners_utils.check_target_module_exists). Regular expressions that Python alone
  /// reads are taken to say so.
  bool is_adapted(const std::string& path) const;

 private:
  const Json* find(const char* key) const;
  [[noreturn]] void refuse(const char* key, const std::string& wanted) const;
  void check_known() const;
  void check_initialisation() const;
  bool is_named(const char* key, const std::string& path) const;
  bool is_of_a_layer(const std::string& path) const;

  std::filesystem::path file_;
  Json json_;
};

}  // namespace mtlora
