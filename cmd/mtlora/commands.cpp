#include "cmd/mtlora/commands.h"

#include <fmt/format.h>

#include <memory>

#include "cmd/mtlora/completion.h"
#include "cmd/mtlora/result_commands.h"
#include "cmd/mtlora/shared_options.h"
#include "lib/run/commands.h"

namespace mtlora {
namespace {

void add_train(CLI::App& program, Action& action) {
  auto request = std::make_shared<TrainRequest>();
  CLI::App* app = program.add_subcommand("train", "Fine-tune a model as a configuration says");
  add_config(*app, request->config);
  app->get_option("--config")->required();
  add_out(*app, request->out, "The run's folder (default: runs/<name of the config>)");
  CLI::Option* resume =
      app->add_flag("--resume", request->resume, "Continue the run in that folder, bit for bit");
  app->add_flag("--resume-or-start", request->resume_or_start,
                "The same, or begin one where there is none yet: for jobs that a batch system "
                "starts again")
      ->excludes(resume);
  app->add_option("--processes", request->processes,
                  "Processes of this machine that compute the run together. torchrun, srun and "
                  "mpirun start them too: torchrun --no-python -- mtlora train …")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app->footer(
      "Examples:\n"
      "  mtlora train --config demo.json\n"
      "  mtlora train --config glue_sst2.json --set model.path=models/minilm --set train.epochs=1\n"
      "  mtlora train --config glue_rte.json --set adapter.method.structure=dtsm --out "
      "runs/rte-dtsm\n"
      "  mtlora train --config demo.json --set 'adapter.method={\"name\": \"lora\", \"rank\": 4}' "
      "--out runs/lora\n"
      "  mtlora train --config demo.json --resume\n"
      "  mtlora train --config demo.json --out /scratch/demo --resume-or-start\n"
      "  mtlora train --config demo.json --processes 2 --set train.threads=1");
  app->callback([&action, request] { action = [request] { return train(*request); }; });
}

void add_plan(CLI::App& program, Action& action) {
  auto request = std::make_shared<PlanRequest>();
  CLI::App* app = program.add_subcommand(
      "plan", "Say what a run would train, hold in memory and take, before it");
  add_config(*app, request->config);
  app->get_option("--config")->required();
  app->add_flag("--json", request->json, "One line of JSON");
  app->footer(
      "Every check that train makes is made, but for the run's folder. Memory is that of the "
      "largest batch,\n"
      "time that of the first steps: they are computed for it. Nothing is written.\n"
      "Examples:\n"
      "  mtlora plan --config glue_mnli.json\n"
      "  mtlora plan --config glue_mnli.json --set train.batch_size=64 --json");
  app->callback([&action, request] { action = [request] { return plan(*request), 0; }; });
}

void add_eval(CLI::App& program, Action& action) {
  auto request = std::make_shared<EvalRequest>();
  CLI::App* app = program.add_subcommand("eval", "Score a checkpoint or a model on one split");
  add_source(*app, request->source);
  app->add_option("--split", request->split, "train, dev, test, dev_mismatched, …")
      ->capture_default_str();
  app->add_flag("--json", request->json, "One line of JSON");
  app->footer(
      "Examples:\n"
      "  mtlora eval --checkpoint runs/demo/best\n"
      "  mtlora eval --checkpoint runs/mnli/best --split dev_mismatched --json");
  app->callback([&action, request] { action = [request] { return eval(*request), 0; }; });
}

void add_predict(CLI::App& program, Action& action) {
  auto request = std::make_shared<PredictRequest>();
  CLI::App* app = program.add_subcommand("predict", "Label texts, one a line; one JSON line each");
  add_source(*app, request->source);
  app->add_option(
         "--input", request->input,
         "Texts, one a line (a pair: two texts separated by a tab), or JSON lines with text and "
         "text_pair, or the task's keys, where the name ends in .jsonl; -: stdin (the default)")
      ->type_name("FILE");
  app->add_option("--split", request->split, "Or a split of the task: test, dev, …");
  app->footer(
      "Examples:\n"
      "  echo 'A warm, funny film.' | mtlora predict --checkpoint runs/demo/best\n"
      "  mtlora predict --checkpoint runs/demo/best --input texts.jsonl\n"
      "  mtlora predict --checkpoint runs/sst2/best --split test > test.jsonl");
  app->callback([&action, request] { action = [request] { return predict(*request), 0; }; });
}

void add_generate(CLI::App& program, Action& action) {
  auto request = std::make_shared<GenerateRequest>();
  CLI::App* app =
      program.add_subcommand("generate", "Write a text for each context; one JSON line each");
  add_source(*app, request->source);
  app->add_option("--input", request->input,
                  "Contexts, one a line, or JSON lines with prompt where the name ends in .jsonl; "
                  "-: stdin (the default)")
      ->type_name("FILE");
  app->add_option("--split", request->split, "Or a split of the task: dev, test");
  app->footer(
      "Examples:\n"
      "  echo 'Paris : capital of : France' | mtlora generate --checkpoint runs/webnlg/best "
      "--input -\n"
      "  mtlora generate --checkpoint runs/webnlg/best --split test --set generate.beams=4\n"
      "  echo 'Once upon a time' | mtlora generate --model models/smollm2 --set "
      "generate.decoder=greedy\n"
      "A checkpoint writes behind a context and the end-of-text token, up to the first blank "
      "line,\n"
      "as it was trained. --model without a task continues the prompt as it is (see\n"
      "generate.separator); a chat template is not applied.");
  app->callback([&action, request] { action = [request] { return generate(*request), 0; }; });
}

void add_bench(CLI::App& program, Action& action) {
  auto request = std::make_shared<BenchRequest>();
  CLI::App* app =
      program.add_subcommand("bench", "Measure how fast a configuration trains and evaluates");
  add_config(*app, request->config);
  app->get_option("--config")->required();
  app->add_option("--steps", request->steps, "Steps that are measured, after a warm-up")
      ->capture_default_str();
  app->add_flag("--json", request->json, "One line of JSON");
  app->add_flag("--profile", request->profile,
                "Also what a CUDA device's time goes into, and the least that it could take");
  app->footer(
      "Examples:\n  mtlora bench --config demo.json\n  mtlora bench --config demo.json --set "
      "train.dtype=fp32 --json\n  mtlora bench --config glue_sst2.json --profile");
  app->callback([&action, request] { action = [request] { return bench(*request), 0; }; });
}

void add_describe(CLI::App& program, Action& action) {
  auto topic = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* app = program.add_subcommand(
      "describe",
      "What can be configured: config, schema, methods, tasks, metrics, models, optimizers");
  app->add_option("topic", *topic, "One of these");
  app->add_flag("--json", *json, "JSON");
  app->footer(
      "Examples:\n  mtlora describe methods\n  mtlora describe schema > mtlora.schema.json");
  app->callback(
      [&action, topic, json] { action = [topic, json] { return describe(*topic, *json), 0; }; });
}

void add_completion(CLI::App& program, Action& action) {
  CLI::App* app =
      program.add_subcommand("completion", "Print what bash needs to complete command lines");
  app->footer(
      "Examples:\n"
      "  source <(mtlora completion)\n"
      "  mtlora completion > ~/.local/share/bash-completion/completions/mtlora");
  app->callback([&program, &action] {
    action = [script = bash_completion(program, describe_topics(), option_paths())] {
      return fmt::print("{}", script), 0;
    };
  });
}

}  // namespace

void add_commands(CLI::App& program, Action& action) {
  add_train(program, action);
  add_plan(program, action);
  add_eval(program, action);
  add_predict(program, action);
  add_generate(program, action);
  add_score(program, action);
  add_export(program, action);
  add_inspect(program, action);
  add_compare(program, action);
  add_bench(program, action);
  add_describe(program, action);
  add_completion(program, action);
}

}  // namespace mtlora
