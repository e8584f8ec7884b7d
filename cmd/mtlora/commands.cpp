#include "cmd/mtlora/commands.h"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "cmd/mtlora/completion.h"
#include "lib/run/commands.h"

namespace mtlora {
namespace {

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

void add_score(CLI::App& program, Action& action) {
  auto request = std::make_shared<ScoreRequest>();
  CLI::App* app = program.add_subcommand("score", "Compare generated texts with references");
  app->add_option("--hypotheses", request->hypotheses,
                  "Outputs, one a line; .jsonl: as generate prints them; .csv or .tsv: a header, "
                  "the output in the second column")
      ->type_name("FILE")
      ->required();
  app->add_option("--references", request->references,
                  "Several files: line i of each for output i. One file: a line an output, groups "
                  "with a blank line between, or a .csv or .tsv with a header (input, reference)")
      ->type_name("FILE")
      ->required();
  app->add_option(
      "--metrics", request->metrics,
      "Separated by commas: bleu, chrf, chrf++, cider, meteor, nist, rouge_l, ter; with "
      "options: bleu:variant=multi-bleu");
  app->add_option("--task", request->task,
                  "What papers report of e2e, webnlg or dart: metrics, lower case, tokenization");
  app->add_flag("--lowercase", request->lowercase, "All texts in lower case first");
  app->add_flag("--tokenize", request->tokenize,
                "Every character that is no letter or digit apart");
  app->add_option(
         "--missing-reference", request->missing_reference,
         "An empty line in one of several reference files: empty (the default; BLEU counts it as "
         "length 0), first (the first reference again), or none (it does not count; what a run's "
         "score.missing_reference is unless it says otherwise)")
      ->type_name("POLICY");
  app->add_option("--meteor-data", request->meteor_data, "The folder of METEOR 1.5's resources")
      ->type_name("DIR");
  app->add_flag("--segments", request->segments, "Every output's score as well");
  app->add_option("--bootstrap", request->bootstrap,
                  "Samples of a 95 % confidence interval; 0: none")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app->add_option("--seed", request->seed, "Of these samples")
      ->needs("--bootstrap")
      ->check(CLI::Range(int64_t{0}, std::numeric_limits<int64_t>::max()))
      ->capture_default_str();
  app->add_flag("--json", request->json, "One line of JSON");
  app->footer(
      "Examples:\n"
      "  mtlora score --task e2e --hypotheses outputs.txt --references testset_w_refs.csv\n"
      "  mtlora score --metrics bleu,chrf++ --hypotheses outputs.txt --references ref0.txt "
      "ref1.txt --bootstrap 1000\n"
      "  mtlora generate --checkpoint runs/mine/best --split test > outputs.jsonl\n"
      "  mtlora score --metrics bleu --hypotheses outputs.jsonl --references references.txt");
  app->callback([&action, request] { action = [request] { return score(*request), 0; }; });
}

void add_export(CLI::App& program, Action& action) {
  auto request = std::make_shared<ExportRequest>();
  CLI::App* app =
      program.add_subcommand("export", "Write a checkpoint as a Hugging Face or PEFT folder");
  app->add_option("--checkpoint", request->checkpoint,
                  "A run's best/ or last/ folder, or an adapter that PEFT has saved")
      ->type_name("DIR")
      ->required();
  app->add_option("--format", request->format,
                  "merged: the whole model, its adapters folded in, fp32, when that changes no "
                  "output by more than rounding; peft: the adapter and what else was trained, for "
                  "PEFT to load onto the base model (methods of low rank)")
      ->check(CLI::IsMember({"merged", "peft"}))
      ->capture_default_str();
  app->add_option("--base", request->base,
                  "With peft: the base model as PEFT is to look for it, such as roberta-base; "
                  "otherwise the path it has here")
      ->type_name("NAME");
  add_out(*app, request->out, "The folder to write; it must not be there yet")->required();
  add_config(*app, request->config);
  app->footer(
      "Examples:\n"
      "  mtlora export --checkpoint runs/demo/best --out models/film-reviews\n"
      "  mtlora export --checkpoint runs/demo/best --format peft --base "
      "sentence-transformers/all-MiniLM-L6-v2 "
      "--out models/film-adapter\n"
      "  mtlora export --checkpoint downloads/adapter --set model.path=models/roberta-base --out "
      "models/merged");
  app->callback([&action, request] { action = [request] { return export_model(*request), 0; }; });
}

void add_inspect(CLI::App& program, Action& action) {
  auto path = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  CLI::App* app = program.add_subcommand(
      "inspect", "Show what a model, checkpoint, PEFT adapter, run or weights file holds");
  app->add_option("path", *path, "A folder or a weights file")->required();
  app->add_flag("--json", *json, "JSON");
  app->footer("Examples:\n  mtlora inspect models/minilm\n  mtlora inspect runs/demo/best --json");
  app->callback(
      [&action, path, json] { action = [path, json] { return inspect(*path, *json), 0; }; });
}

void add_compare(CLI::App& program, Action& action) {
  auto request = std::make_shared<CompareRequest>();
  CLI::App* app = program.add_subcommand(
      "compare", "Put finished runs side by side: mean and spread over seeds, and every run");
  app->add_option("runs", request->paths, "Folders of runs, or folders that hold them")
      ->type_name("DIR")
      ->required();
  app->add_option("--metrics", request->metrics,
                  "Which, separated by commas, as the tables name them; without it all but those "
                  "of parts, such as test.seen.bleu")
      ->type_name("NAME")
      ->delimiter(',')
      ->allow_extra_args(false);
  app->add_flag("--json", request->json, "One line of JSON, of all metrics");
  app->footer(
      "A row is of the runs that differ in train.seed alone; its columns are the options in which "
      "rows differ.\n"
      "Data and base weights are compared by their content, wherever they lie. Runs that cannot be "
      "read are left out,\nwith exit code 1."
      "\n"
      "Examples:\n"
      "  for seed in 1 2 3; do mtlora train --config demo.json --set train.seed=$seed --out "
      "runs/demo-$seed; done\n"
      "  mtlora compare runs/demo-*\n"
      "  mtlora compare runs --metrics accuracy");
  app->callback([&action, request] { action = [request] { return compare(*request); }; });
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
