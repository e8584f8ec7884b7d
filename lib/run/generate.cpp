// generate: contexts in, one JSON line a context out, in order.

#include <fmt/format.h>

#include <map>

#include "lib/core/error.h"
#include "lib/core/output.h"
#include "lib/run/input_source.h"
#include "lib/run/language_folder.h"
#include "lib/run/open_source.h"
#include "lib/run/writing.h"

namespace mtlora {
namespace {

// Of a line of JSON, where the task keeps it.
std::string context_of(const std::string& line, const std::string& where, const std::string& key) {
  const Json json = parse_json(line, where);
  if (!json.is_object() || !json.contains(key) || !json[key].is_string())
    fail("{}: expected an object with a string \"{}\"", where, key);
  return json[key].get<std::string>();
}

// Prints what is written in the order of the contexts, as soon as that allows.
class InOrder {
 public:
  void operator()(size_t i, const std::string& text) {
    waiting_.emplace(i, text);
    for (auto at = waiting_.find(next_); at != waiting_.end(); at = waiting_.find(++next_)) {
      fmt::print("{}\n", Json{{"text", at->second}}.dump());
      waiting_.erase(at);
    }
    flush_output();
  }

 private:
  std::map<size_t, std::string> waiting_;
  size_t next_ = 0;
};

void answer(const Session& s, std::vector<std::string>& contexts) {
  if (contexts.empty()) return;
  InOrder print;
  write_texts(s, contexts, [&](size_t i, const std::string& text) { print(i, text); });
  contexts.clear();
}

void answer_split(const Session& s, const std::string& split) {
  const TextData data = s.text_task->load(split);
  tell(data);
  std::vector<std::string> contexts;
  for (const Prompt& prompt : data.prompts) contexts.push_back(prompt.context);
  answer(s, contexts);
}

void answer_lines(const Session& s, InputSource& input) {
  std::vector<std::string> contexts;
  const auto take = [&](const std::string& line, const std::string& where) {
    contexts.push_back(
        input.is_json_lines() ? context_of(line, where, s.text_task->info().context_key) : line);
  };
  for_lines(input, take, [&] { answer(s, contexts); });
}

}  // namespace

void generate(const GenerateRequest& request) {
  check_input_options(request.input, request.split);
  Session s = open_source(request.source);
  if (!s.text_task) fail("generate: the task {} asks for labels; use predict", s.task->info().name);
  if (!s.options.generate.separator) warn_of_chat_template(s);
  if (!request.split.empty()) {
    answer_split(s, request.split);
    return;
  }
  InputSource input(request.input);
  input.refuse({".json", ".csv", ".tsv"});
  answer_lines(s, input);
}

}  // namespace mtlora
