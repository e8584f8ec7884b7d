#include "lib/text/byte_words_json.h"

#include "lib/core/error.h"
#include "lib/text/byte_words.h"
#include "lib/text/pipeline_json.h"

namespace mtlora {
namespace {

bool is_single_digits(const ForeignJson& step) {
  return step_type(step) == "Digits" && value_or(step, "individual_digits", false);
}

bool is_llama3_split(const ForeignJson& step) {
  return step_type(step) == "Split" &&
         value_or<std::string>(step.at("pattern"), "Regex", "") == kLlama3Pattern &&
         value_or<std::string>(step, "behavior", "") == "Isolated" &&
         !value_or(step, "invert", false);
}

bool has_regex(const ForeignJson& bytes) {
  return value_or(bytes, "use_regex", true);
}

}  // namespace

ByteBpeOptions read_byte_words(const ForeignJson& section) {
  const std::vector<ForeignJson> steps = steps_of(section, "pretokenizers");
  ByteBpeOptions options;
  const bool has_bytes = !steps.empty() && step_type(steps.back()) == "ByteLevel";
  if (has_bytes && !has_regex(steps.back())) options.pattern = WordPattern::none;
  if (has_bytes) options.add_prefix_space = value_or(steps.back(), "add_prefix_space", true);
  if (has_bytes && steps.size() == 1) return options;
  const bool is_pair = has_bytes && steps.size() == 2 && !options.add_prefix_space;
  options.split_digits = is_pair && is_single_digits(steps[0]);
  if (options.split_digits) return options;
  if (!is_pair || !is_llama3_split(steps[0]) || has_regex(steps[1]))
    fail(
        "the pre_tokenizer {} is not implemented here (only ByteLevel; Digits with "
        "\"individual_digits\": true before ByteLevel with \"add_prefix_space\": false; and Split "
        "by Llama 3's pattern before ByteLevel with \"use_regex\": false)",
        section.dump());
  options.pattern = WordPattern::llama3;
  return options;
}

}  // namespace mtlora
