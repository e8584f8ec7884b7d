// The sections "normalizer" and "pre_tokenizer" of a tokenizer.json whose model is of
// SentencePiece's kind.
#pragma once

#include "lib/text/foreign_json.h"
#include "lib/text/normalizer.h"
#include "lib/text/pre_tokenizer.h"

namespace mtlora {

/// The type of a section or step, "null" where there is none.
std::string step_type(const ForeignJson& section);

/// The step itself, or the steps of a Sequence in `list` ("normalizers", "pretokenizers"), those
/// of sequences inside it among them; none of null.
std::vector<ForeignJson> steps_of(const ForeignJson& section, const char* list);

/// Throws Error for a step that is not implemented.
Normalizer read_normalizer(const ForeignJson& section);

/// WhitespaceSplit, Punctuation and Metaspace, in this order as far as they are there. Throws Error
/// for anything else.
PreTokenizer read_pre_tokenizer(const ForeignJson& section);

}  // namespace mtlora
