#include "lib/run/language_folder.h"

#include "lib/core/files.h"
#include "lib/core/gguf.h"
#include "lib/core/gguf_config.h"
#include "lib/core/log.h"
#include "lib/text/foreign_json.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

template <class AnyJson>
bool says(const AnyJson& json, const char* key) {
  return json.is_object() && json.contains(key) && !json[key].is_null();
}

bool has_chat_template(const fs::path& model) {
  const fs::path place = model_place(model);
  if (is_gguf(place)) return GgufFile(place).has("tokenizer.chat_template");
  if (fs::exists(place / "chat_template.jinja")) return true;
  const fs::path config = place / "tokenizer_config.json";
  return fs::exists(config) && says(read_foreign_json(config), "chat_template");
}

}  // namespace

void warn_of_chat_template(const Session& session) {
  if (has_chat_template(session.options.model.path))
    log::warn(
        fmt::format("{}: has a chat template, which is not applied: a prompt is continued as it is",
                    session.options.model.path));
}

}  // namespace mtlora
