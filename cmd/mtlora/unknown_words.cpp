#include "cmd/mtlora/unknown_words.h"

#include <vector>

#include "lib/core/error.h"

namespace mtlora {
namespace {

using Words = std::vector<std::string>;

std::string name_of(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  return parent ? name_of(*parent) + " " + app.get_name() : app.get_name();
}

Words command_names(const CLI::App& program) {
  Words names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

Words option_names(const CLI::App& app) {
  Words names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

// Of what `app` itself was given. The word behind an unknown option is most likely its value.
Words unknown_of(const CLI::App& app) {
  Words found;
  bool is_value = false;
  for (const std::string& word : app.remaining()) {
    const std::string name = word.substr(0, word.find('='));
    const bool is_option = word.starts_with('-') && word != "--";
    if (is_option)
      found.push_back(name_of(app) + ": " + unknown("option", name, option_names(app)));
    else if (word != "--" && !is_value)
      found.push_back(fmt::format("{}: unexpected argument \"{}\"", name_of(app), word));
    is_value = is_option && name == word;
  }
  return found;
}

}  // namespace

std::string unknown_words(const CLI::App& program) {
  const auto commands = program.get_subcommands();
  const Words words = program.remaining();
  // What stands behind an unknown command is its own: nobody knows whether it is right.
  if (commands.empty() && !words.empty() && !words.front().starts_with('-'))
    return unknown("command", words.front(), command_names(program));
  Words found = unknown_of(program);
  for (const CLI::App* command : commands)
    for (std::string& line : unknown_of(*command)) found.push_back(std::move(line));
  return fmt::format("{}", fmt::join(found, "\n"));
}

}  // namespace mtlora
