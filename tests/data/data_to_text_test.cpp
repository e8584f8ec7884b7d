// Prompts and completions of one's own, on the samples of data/samples.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Names = std::vector<std::string>;

TEST_CASE("rows are pairs, and prompts with all their completions", "[data]") {
  const TextData train = text_task_over("data_to_text", samples("data_to_text"))->load("train");
  REQUIRE(train.pairs.size() == 5);
  CHECK(train.pairs[4].completion == "No rain on the roof.\nNothing to do.");
  REQUIRE(train.prompts.size() == 4);
  CHECK(train.prompts[0].context == "sensor : north gate | temperature : -3 °C");
  CHECK(train.prompts[0].references == Names{"It is three degrees below zero at the north gate.",
                                             "The north gate reports -3 °C."});
  CHECK(train.notes.empty());
}

TEST_CASE("references stand in the place of the completion", "[data]") {
  const auto task = text_task_over("data_to_text", samples("data_to_text"));
  const TextData dev = task->load("dev"), test = task->load("test");
  REQUIRE(dev.prompts.size() == 2);
  CHECK(dev.prompts[0].references ==
        Names{"Humidity in the cellar: 64 %.", "The cellar is at 64 % humidity."});
  CHECK(dev.prompts[1].references == Names{"A wind of 2 m/s blows on the roof."});
  CHECK(test.pairs.empty());
  REQUIRE(test.prompts.size() == 3);
  CHECK(test.prompts[2].references.empty());
  CHECK(test.notes == Names{"1 of 3 prompts without references: not to be scored"});
}

TEST_CASE("groups are told apart where they are named", "[data]") {
  const auto load = [](const Json& options) {
    return text_task_over("data_to_text", samples("data_to_text"), options)->load("test");
  };
  CHECK(load(Json::object()).prompts.at(1).group.empty());
  CHECK(load({{"groups", {"known", "new"}}}).prompts.at(1).group == "new");
  CHECK(with_f(error_of([&] {
                 load({{"groups", {"known"}}});
               }),
               (samples("data_to_text") / "test.jsonl").string()) ==
        "F: 2 of 3 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 2):\n"
        "F:2: the group \"new\" is none of task.groups: known\n"
        "F:3: the group \"new\" is none of task.groups: known");
}

TEST_CASE("keys and files can have other names", "[data]") {
  const TempDir folder;
  write_file(folder / "mine.jsonl",
             "{\"in\": \"a\", \"out\": \"b\", \"others\": [\"c\"], \"part\": \"x\"}\n");
  const TextData data = text_task_over("data_to_text", folder.path(),
                                       {{"train", "mine.jsonl"},
                                        {"prompt", "in"},
                                        {"completion", "out"},
                                        {"references", "others"},
                                        {"group", "part"},
                                        {"groups", {"x"}}})
                            ->load("train");
  CHECK(flat(data) ==
        "a\x1f"
        "b\x1f\x1e"
        "a\x1f"
        "x\x1f"
        "c\x1f\x1e");
}

TEST_CASE("options of data_to_text that contradict each other are errors", "[data]") {
  CHECK(error_of([] {
          start_text_task({"data_to_text", Json::object()})->load("train");
        }) == "/task/data: name the folder of the train, dev and test files");
  CHECK(error_of([] {
          text_task_over("data_to_text", "x", {{"prompt", "completion"}});
        }) == "/task: two of its JSON keys are \"completion\"");
}

TEST_CASE("JSON lines that hold no pair are malformed", "[data]") {
  const TempDir folder;
  const std::string file = (folder / "train.jsonl").string();
  write_file(file,
             "{\"prompt\": \"a\", \"completion\": \"b\", \"references\": null, \"group\": null}\n"
             "{\"prompt\": \"a\"}\n"
             "{\"prompt\": \"a\", \"completion\": null}\n"
             "\n"
             "{\"prompt\": 1, \"completion\": \"b\"}\n"
             "{\"prompt\": \"a\", \"completion\": \"b\", \"references\": \"c\"}\n"
             "{\"prompt\": \"a\", \"completion\": \"b\", \"references\": [1]}\n"
             "{\"prompt\": \"a\", \"prompt\": \"b\", \"completion\": \"b\"}\n"
             "{\"prompt\": \"a\xFF\", \"completion\": \"b\"}\n"
             "{\"prompt\": \"\", \"completion\": \"\"}\n"
             "{\"prompt\": \"a\", \"completion\": \" \\n\"}\n");
  const auto load = [&](int allowed) {
    return text_task_over("data_to_text", folder.path(), {{"max_malformed", allowed}})
        ->load("train");
  };
  CHECK(with_f(error_of([&] { load(7); }), file) ==
        "F: 8 of 11 rows malformed, 7 allowed (to leave them out, set task.max_malformed to 8):\n"
        "F:2: there is no key \"completion\"; the keys are: prompt\n"
        "F:3: \"completion\" is not a string: null\n"
        "F:4: the line is blank\n"
        "F:5: \"prompt\" is not a string: 1\n"
        "F:6: \"references\" is not an array: \"c\"\n"
        "F:7: \"references\" holds what is not a string: 1\n"
        "F:8: the key \"prompt\" stands twice in one object\n"
        "F:9: not valid UTF-8");
  const TextData data = load(8);
  CHECK(data.pairs.size() == 3);
  CHECK(data.malformed == 8);
  CHECK(data.notes == Names{"1 text is empty; kept", "1 text is white space alone; kept"});
}

TEST_CASE("a line that holds a NUL byte is malformed, not cut there", "[data]") {
  using namespace std::string_literals;
  const TempDir folder;
  const std::string file = (folder / "train.jsonl").string();
  write_file(file,
             "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
             "{\"prompt\": \"a\", \"completion\": \"b\"}\0, more\n"s);
  CHECK(with_f(error_of([&] { text_task_over("data_to_text", folder.path())->load("train"); }),
               file) ==
        "F: 1 of 2 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 1):\n"
        "F:2: the line holds a NUL byte, its byte 35");
}
