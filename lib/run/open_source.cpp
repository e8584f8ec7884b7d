#include "lib/run/open_source.h"

#include "lib/core/error.h"
#include "lib/run/open_peft.h"

namespace mtlora {
namespace {

void check_path(const ModelSource& source) {
  const Json set = gather_config({{}, source.config.assignments});
  if (set.contains("model") && set["model"].is_object() && set["model"].contains("path"))
    throw UsageError("--model DIR and --set model.path=… both name the model: give one of them");
}

}  // namespace

Session open_source(const ModelSource& source) {
  require_one_of({"--checkpoint DIR", !source.checkpoint.empty()},
                 {"--model DIR", !source.model.empty()});
  if (!source.model.empty()) check_path(source);
  return source.checkpoint.empty() ? open_model_session(source.model, source.config)
                                   : open_trained_session(source.checkpoint, source.config);
}

}  // namespace mtlora
