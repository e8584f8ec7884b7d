// An added token as Hugging Face writes it: a string, or an object of its flags.
#pragma once

#include "lib/core/error.h"
#include "lib/text/added_tokens.h"
#include "lib/text/foreign_json.h"

namespace mtlora {

/// A token with its flags (and its "id", where one is given). Throws Error for "single_word".
inline AddedToken added_token(const ForeignJson& json) {
  AddedToken token{.id = value_or(json, "id", -1),
                   .content = json.at("content").get<std::string>(),
                   .lstrip = value_or(json, "lstrip", false),
                   .rstrip = value_or(json, "rstrip", false),
                   .normalized = value_or(json, "normalized", false),
                   .special = value_or(json, "special", false)};
  if (value_or(json, "single_word", false))
    fail("the added token \"{}\" has \"single_word\": true, which is not implemented",
         token.content);
  return token;
}

/// A special token: its text, or an object like above.
inline AddedToken special_token(const ForeignJson& json) {
  AddedToken token =
      json.is_string() ? AddedToken{.content = json.get<std::string>()} : added_token(json);
  token.special = true;
  return token;
}

}  // namespace mtlora
