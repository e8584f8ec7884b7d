#include "lib/run/language_folder.h"

#include <algorithm>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/gguf.h"
#include "lib/core/gguf_config.h"
#include "lib/core/log.h"
#include "lib/text/foreign_json.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

constexpr const char* kEnd = "eos_token_id";

template <class AnyJson>
bool says(const AnyJson& json, const char* key) {
  return json.is_object() && json.contains(key) && !json[key].is_null();
}

template <class AnyJson>
std::set<int32_t> ends_of(const AnyJson& value, int64_t vocab, const std::string& origin) {
  std::set<int32_t> ends;
  for (const AnyJson& id : value.is_array() ? value : AnyJson::array({value})) {
    if (!id.is_number_integer()) fail("{}: \"{}\": {} is no token's id", origin, kEnd, id.dump());
    const auto number = id.template get<int64_t>();
    if (0 <= number && number < vocab) ends.insert(static_cast<int32_t>(number));
  }
  return ends;
}

bool has_chat_template(const fs::path& model) {
  const fs::path place = model_place(model);
  if (is_gguf(place)) return GgufFile(place).has("tokenizer.chat_template");
  if (fs::exists(place / "chat_template.jinja")) return true;
  const fs::path config = place / "tokenizer_config.json";
  return fs::exists(config) && says(read_foreign_json(config), "chat_template");
}

}  // namespace

std::set<int32_t> model_ends(const Session& session) {
  const int64_t vocab = session.model().vocab_size();
  const fs::path file = model_place(session.options.model.path) / "generation_config.json";
  if (fs::exists(file)) {
    const ForeignJson json = read_foreign_json(file);
    if (says(json, kEnd)) return ends_of(json[kEnd], vocab, file.string());
  }
  const ModelConfig& config = session.loaded.config;
  if (!says(config.json(), kEnd)) return {};
  return ends_of(config.json()[kEnd], vocab, config.origin());
}

void warn_of_chat_template(const Session& session) {
  if (has_chat_template(session.options.model.path))
    log::warn(
        fmt::format("{}: has a chat template, which is not applied: a prompt is continued as it is",
                    session.options.model.path));
}

}  // namespace mtlora
