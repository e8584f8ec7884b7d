// The section "post_processor" of a tokenizer.json: what stands around a text or a pair.
#pragma once

#include "lib/text/foreign_json.h"
#include "lib/text/tokenizer.h"

namespace mtlora {

/// TemplateProcessing, BertProcessing or RobertaProcessing, alone or behind ByteLevel, which moves
/// offsets only; nothing stands around a text without them. Throws Error for anything else.
Template read_template(const ForeignJson& section);

}  // namespace mtlora
