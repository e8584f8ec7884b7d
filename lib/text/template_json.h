// The section "post_processor" of a tokenizer.json: what stands around a text or a pair.
#pragma once

#include "lib/text/foreign_json.h"
#include "lib/text/tokenizer.h"

namespace mtlora {

/// TemplateProcessing, BertProcessing or RobertaProcessing, alone or behind ByteLevel, which moves
/// offsets only; nothing stands around a text without them. Throws Error for anything else.
Template read_template(const ForeignJson& section);

/// A section of that kind for special tokens by their ids in `tokens`; null for a frame without
/// any.
ForeignJson template_section(const Template& frame, const std::vector<std::string_view>& tokens);

}  // namespace mtlora
