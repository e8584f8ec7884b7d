#include "cmd/mtlora/result_commands.h"

#include <limits>
#include <memory>

#include "cmd/mtlora/shared_options.h"
#include "lib/run/commands.h"

namespace mtlora {

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

}  // namespace mtlora
