#include "cmd/mtlora/command_line.h"

#include <CLI/CLI.hpp>

#include "cmd/mtlora/commands.h"
#include "cmd/mtlora/unknown_words.h"

#ifndef MTLORA_VERSION
#  define MTLORA_VERSION "unknown"
#endif

namespace mtlora {
namespace {

// Returns the exit code. A mistyped word comes before what is missing for want of it.
int report(const CLI::App& program, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return program.exit(error);
  const std::string unknown = unknown_words(program);
  program.exit(unknown.empty() ? error : CLI::ParseError(unknown, CLI::ExitCodes::ExtrasError));
  return kWrongCommandLine;
}

// "--out= --resume", or "--out $OUT --resume" with nothing in OUT: no option is another's value.
void check_values(const CLI::App& program) {
  for (const CLI::App* command : program.get_subcommands())
    for (const CLI::Option* option : command->get_options())
      for (const std::string& value : option->results())
        if (value.starts_with("--") && command->get_option_no_throw(value))
          throw CLI::ArgumentMismatch(option->get_name() + " needs a value, and " + value +
                                      " is an option of its own");
}

}  // namespace

Action parse_command_line(int argc, char** argv) {
  CLI::App program(
      "Fine-tunes pretrained transformers with low-rank adapters, as a JSON config says.",
      "mtlora");
  program.require_subcommand(1);
  program.set_version_flag("--version", MTLORA_VERSION);
  program.footer(
      "Examples:\n"
      "  mtlora plan --config demo.json\n"
      "  mtlora train --config demo.json\n"
      "  mtlora eval --checkpoint runs/demo/best\n"
      "  mtlora COMMAND --help\n"
      "Exit codes: 0 done, 1 wrong input, 2 wrong command line, 128 + its number stopped by "
      "a signal after saving (130: Ctrl-C).");
  Action action;
  add_commands(program, action);
  try {
    program.parse(argc, argv);
    check_values(program);
  } catch (const CLI::ParseError& e) {
    return [code = report(program, e)] { return code; };
  }
  return action;
}

}  // namespace mtlora
