#include "lib/text/pipeline_json.h"

#include "lib/core/error.h"
#include "lib/text/charsmap.h"

namespace mtlora {
namespace {

NormalizerStep read_replace(const ForeignJson& step) {
  const ForeignJson& pattern = step.at("pattern");
  std::string content = step.at("content");
  if (const auto text = value_or<std::string>(pattern, "String", ""); !text.empty())
    return replace(text, std::move(content));
  const auto regex = value_or<std::string>(pattern, "Regex", "");
  if (regex == " {2,}") return replace_space_runs(std::move(content));
  if (regex == "\\s{2,}|[\\n\\r\\t]") return replace_white_space(std::move(content));
  fail(
      "the normalizer {} is not implemented here (of patterns only texts and the regular "
      "expressions \" {{2,}}\" and \"\\s{{2,}}|[\\n\\r\\t]\")",
      step.dump());
}

NormalizerStep read_step(const ForeignJson& step) {
  const std::string type = step_type(step);
  if (type == "Lowercase") return lowercase();
  if (type == "NFC") return unicode_form(Form::kNfc);
  if (type == "NFD") return unicode_form(Form::kNfd);
  if (type == "NFKC") return unicode_form(Form::kNfkc);
  if (type == "NFKD") return unicode_form(Form::kNfkd);
  if (type == "Strip")
    return strip({.left = step.at("strip_left"), .right = step.at("strip_right")});
  if (type == "Replace") return read_replace(step);
  if (type == "Prepend") return prepend(step.at("prepend"));
  if (type == "Precompiled")
    return precompiled(from_base64(step.at("precompiled_charsmap").get<std::string>()));
  fail(
      "the normalizer \"{}\" is not implemented here (only Lowercase, NFC, NFD, NFKC, NFKD, Strip, "
      "Replace, Prepend, Precompiled)",
      type);
}

Metaspace read_metaspace(const ForeignJson& step) {
  // Older files say "add_prefix_space" instead.
  const auto scheme = value_or<std::string>(
      step, "prepend_scheme", value_or(step, "add_prefix_space", true) ? "always" : "never");
  using Prepend = Metaspace::Prepend;
  Metaspace metaspace{.symbol = step.at("replacement"),
                      .prepend = scheme == "always"  ? Prepend::kAlways
                                 : scheme == "first" ? Prepend::kFirst
                                                     : Prepend::kNever,
                      .split = value_or(step, "split", true)};
  if (scheme != "always" && scheme != "first" && scheme != "never")
    fail("Metaspace: the \"prepend_scheme\" \"{}\" is none of always, first, never", scheme);
  if (metaspace.symbol.empty()) fail("Metaspace: the \"replacement\" is empty");
  return metaspace;
}

}  // namespace

std::string step_type(const ForeignJson& section) {
  return section.is_null() ? "null" : value_or<std::string>(section, "type", "null");
}

std::vector<ForeignJson> steps_of(const ForeignJson& section, const char* list) {
  const std::string type = step_type(section);
  if (type == "null") return {};
  if (type != "Sequence") return {section};
  std::vector<ForeignJson> steps;
  for (const ForeignJson& part : section.at(list))
    for (ForeignJson& step : steps_of(part, list)) steps.push_back(std::move(step));
  return steps;
}

Normalizer read_normalizer(const ForeignJson& section) {
  std::vector<NormalizerStep> steps;
  for (const ForeignJson& step : steps_of(section, "normalizers")) steps.push_back(read_step(step));
  return Normalizer(std::move(steps));
}

PreTokenizer read_pre_tokenizer(const ForeignJson& section) {
  PreTokenizer::Options options;
  for (const ForeignJson& step : steps_of(section, "pretokenizers")) {
    const std::string type = step_type(step);
    const bool is_known =
        (type == "WhitespaceSplit" && !options.split_punctuation && !options.metaspace) ||
        (type == "Punctuation" && value_or<std::string>(step, "behavior", "") == "Isolated" &&
         !options.metaspace) ||
        (type == "Metaspace" && !options.metaspace);
    if (!is_known)
      fail(
          "the pre_tokenizer {} is not implemented here (only WhitespaceSplit, Punctuation with "
          "\"behavior\": \"Isolated\" and Metaspace, in this order)",
          section.dump());
    if (type == "WhitespaceSplit") options.split_white_space = true;
    if (type == "Punctuation") options.split_punctuation = true;
    if (type == "Metaspace") options.metaspace = read_metaspace(step);
  }
  return PreTokenizer(std::move(options));
}

}  // namespace mtlora
