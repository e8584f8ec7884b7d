#include "cmd/mtlora/shared_options.h"

namespace mtlora {

void add_config(CLI::App& app, ConfigSource& source) {
  app.add_option("--config", source.files,
                 "Configuration file; a later one is laid over an earlier one")
      ->type_name("FILE")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--set", source.assignments,
                 "One option: --set train.epochs=3; the value is JSON or a bare string")
      ->type_name("PATH=VALUE")
      ->take_all()
      ->allow_extra_args(false);
}

void add_source(CLI::App& app, ModelSource& source) {
  app.add_option("--checkpoint", source.checkpoint,
                 "A run's best/ or last/ folder, or an adapter that PEFT has saved")
      ->type_name("DIR");
  app.add_option("--model", source.model, "A Hugging Face folder as it is, its own head included")
      ->type_name("DIR");
  add_config(app, source.config);
}

CLI::Option* add_out(CLI::App& app, std::string& out, const std::string& help) {
  return app.add_option("--out", out, help)->type_name("DIR")->check([](const std::string& folder) {
    return folder.empty() ? std::string("\"\" names no folder") : std::string();
  });
}

}  // namespace mtlora
