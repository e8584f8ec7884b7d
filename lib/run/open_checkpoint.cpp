#include "lib/run/open_checkpoint.h"

#include "lib/core/error.h"
#include "lib/run/differences.h"
#include "lib/run/open_session.h"
#include "lib/run/own_head.h"
#include "lib/train/checkpoint.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

RunOptions options_of(const fs::path& checkpoint) {
  return read_run_options(checkpoint / "config.json");
}

// A method's options but for those that only say how it is trained.
Json meaning_of(const Choice& method) {
  Json all = method.options;
  all["name"] = method.name;
  for (const std::string& option : adapter_method(method.name).of_training) all.erase(option);
  return all;
}

}  // namespace

Session open_checkpoint_session(const fs::path& folder, const ConfigSource& request) {
  require_checkpoint(folder);
  const RunOptions own = options_of(folder);
  Json config = gather_config(request, dump(own));
  config["adapter"]["start_from"] = nullptr;  // all it gave is in the checkpoint
  require_same_method(folder, parse_run_options(config),
                      "leave adapter.method out of --config and --set");
  Session s = open_with(config, {.tokenizer = folder});
  require_same_base(folder, s);
  restore_tensors(folder / "adapter.safetensors", checkpoint_tensors(s.trained.tensors));
  if (s.task) order_head(s, start_task(own.task)->info().labels);
  settle(s);
  return s;
}

void require_same_base(const fs::path& checkpoint, const Session& session) {
  const Json state = read_json(checkpoint / "state.json");
  const bool is_same = state.is_object() && state.contains("fingerprint") &&
                       state["fingerprint"] == session.loaded.fingerprint;
  if (!is_same)
    fail("{}: was trained on other base weights than those of {}", checkpoint.string(),
         session.options.model.path);
}

void require_same_method(const fs::path& checkpoint, const RunOptions& options,
                         const std::string& advice) {
  const Choice before = options_of(checkpoint).adapter.method, &now = options.adapter.method;
  std::vector<std::string> changed;
  if (before.name != now.name)
    changed.push_back(fmt::format("/adapter/method/name: {} there, {} now", before.name, now.name));
  else
    for (const Difference& one :
         differences(meaning_of(before), meaning_of(now), "/adapter/method"))
      changed.push_back(one.text);
  if (!changed.empty())
    fail("{}: its tensors are those of another adapter; {}:\n  {}", checkpoint.string(), advice,
         fmt::join(changed, "\n  "));
}

}  // namespace mtlora
