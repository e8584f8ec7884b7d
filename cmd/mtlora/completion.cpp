#include "cmd/mtlora/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace mtlora {
namespace {

using Words = std::vector<std::string>;

// bash takes "train.epochs=3" for three words, so that behind --set comes the path alone.
constexpr const char* kScript = R"(# Completion of mtlora for bash: source <(mtlora completion)
_mtlora() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} words=
  if ((COMP_CWORD == 1)); then
    words="{commands} --help --version"
  elif [[ $before == --set ]]; then
    compopt -o nospace
    COMPREPLY=($(compgen -S = -W "{paths}" -- "$word"))
    return
  elif [[ $word == -* ]]; then
    case $command in
{options}    esac
  elif [[ $command == describe ]]; then
    words="{topics}"
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _mtlora mtlora
)";

Words option_names(const CLI::App& command) {
  Words names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

}  // namespace

std::string bash_completion(const CLI::App& program, const Words& topics, const Words& paths) {
  Words commands;
  std::string options;
  for (const CLI::App* command : program.get_subcommands({})) {
    commands.push_back(command->get_name());
    options += fmt::format("      {}) words=\"{}\" ;;\n", command->get_name(),
                           fmt::join(option_names(*command), " "));
  }
  using fmt::literals::operator""_a;
  return fmt::format(kScript, "commands"_a = fmt::join(commands, " "),
                     "paths"_a = fmt::join(paths, " "), "options"_a = options,
                     "topics"_a = fmt::join(topics, " "));
}

}  // namespace mtlora
