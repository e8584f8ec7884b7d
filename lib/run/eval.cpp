// eval: how good a checkpoint, or a model as it is, is on one split.

#include <fmt/format.h>

#include "lib/core/error.h"
#include "lib/run/open_source.h"
#include "lib/run/session.h"

namespace mtlora {

Session open_source(const ModelSource& source) {
  if (source.checkpoint.empty() == source.model.empty())
    fail("one of --checkpoint DIR and --model DIR is needed");
  return source.checkpoint.empty() ? open_model_session(source.model, source.config)
                                   : open_checkpoint_session(source.checkpoint, source.config);
}

void eval(const EvalRequest& request) {
  Session s = open_source(request.source);
  const Dataset data = s.task->load(request.split);
  if (!data.labelled())
    fail("the split {} has no labels: it can be predicted, not evaluated", request.split);
  const Evaluation e = evaluate(s.model(), s.encoded(data), s.task->info(), *s.pool, s.evaluate());
  if (request.json) {
    const Json out = {{"metrics", e.metrics_json()}, {"loss", e.loss}, {"examples", e.examples}};
    fmt::print("{}\n", out.dump());
    return;
  }
  for (const auto& [name, value] : e.metrics) fmt::print("{:<20} {}\n", name, value);
  fmt::print("{:<20} {}\n{:<20} {}\n", "loss", e.loss, "examples", e.examples);
}

}  // namespace mtlora
