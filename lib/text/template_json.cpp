#include "lib/text/template_json.h"

#include "lib/core/error.h"
#include "lib/text/pipeline_json.h"
#include "lib/text/tokenizer_config.h"

namespace mtlora {
namespace {

std::vector<Template::Piece> template_pieces(const ForeignJson& pieces,
                                             const ForeignJson& special) {
  std::vector<Template::Piece> result;
  for (const ForeignJson& piece : pieces) {
    if (const auto text = piece.find("Sequence"); text != piece.end()) {
      const bool is_first = text->at("id") == "A";
      result.push_back({is_first ? Template::kFirst : Template::kSecond, text->at("type_id")});
      continue;
    }
    const ForeignJson& token = piece.at("SpecialToken");
    for (const ForeignJson& id : special.at(token.at("id").get<std::string>()).at("ids"))
      result.push_back({id.get<int32_t>(), token.at("type_id")});
  }
  return result;
}

Template template_of_step(const ForeignJson& step) {
  const std::string type = step_type(step);
  if (type == "TemplateProcessing") {
    const ForeignJson& special = step.at("special_tokens");
    return {.single = template_pieces(step.at("single"), special),
            .pair = template_pieces(step.at("pair"), special)};
  }
  if (type != "BertProcessing" && type != "RobertaProcessing")
    fail(
        "the post_processor \"{}\" is not implemented here (only TemplateProcessing, "
        "BertProcessing, RobertaProcessing, ByteLevel, and a Sequence of ByteLevel and one of "
        "these)",
        type);
  const int32_t cls = step.at("cls").at(1), sep = step.at("sep").at(1);
  return type == "BertProcessing" ? bert_template(cls, sep) : roberta_template(cls, sep);
}

}  // namespace

Template read_template(const ForeignJson& section) {
  std::vector<ForeignJson> steps = steps_of(section, "processors");
  std::erase_if(steps, [](const ForeignJson& step) { return step_type(step) == "ByteLevel"; });
  if (steps.size() > 1)
    fail("the post_processor {} is not implemented here: it has several templates", section.dump());
  return steps.empty() ? plain_template() : template_of_step(steps[0]);
}

ForeignJson template_section(const Template& frame, const std::vector<std::string_view>& tokens) {
  ForeignJson special = ForeignJson::object();
  const auto pieces = [&](const std::vector<Template::Piece>& of) {
    ForeignJson result = ForeignJson::array();
    for (const auto& [id, segment] : of) {
      if (id == Template::kFirst || id == Template::kSecond) {
        const char* text = id == Template::kFirst ? "A" : "B";
        result.push_back({{"Sequence", {{"id", text}, {"type_id", segment}}}});
        continue;
      }
      const std::string token(tokens.at(static_cast<size_t>(id)));
      special[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
      result.push_back({{"SpecialToken", {{"id", token}, {"type_id", segment}}}});
    }
    return result;
  };
  ForeignJson single = pieces(frame.single), pair = pieces(frame.pair);
  if (special.empty()) return nullptr;
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(special)}};
}

}  // namespace mtlora
