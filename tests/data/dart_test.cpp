// DART, on the samples of data/samples.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Names = std::vector<std::string>;

TEST_CASE("DART's relations are lower-cased, nothing else is", "[data]") {
  const TextData train = text_task_over("dart", samples("dart"))->load("train");
  REQUIRE(train.pairs.size() == 6);
  CHECK(train.pairs[0].context == "[TABLECONTEXT] : river : Orla | Orla : length_km : 84");
  CHECK(train.pairs[3].context == "Team Kestrel : women’s_captain : Ines Rask");
  CHECK(train.pairs[5].context ==
        "The Copper Kettle : eattype : pub | The Copper Kettle : area : ÉTANG quarter");
  CHECK(train.pairs[5].completion == "In the Étang quarter there is a pub, The Copper Kettle.");
  const TempDir folder;
  write_file(folder / "test.json",
             R"([{"tripleset": [["A", "ÉCOLE²_Σ", "B"]], "annotations": []}])");
  CHECK(text_task_over("dart", folder.path())->load("test").prompts.at(0).context ==
        "A : école²_σ : B");
}

TEST_CASE("an empty annotation is a text like any other, and told", "[data]") {
  const TextData test = text_task_over("dart", samples("dart"))->load("test");
  REQUIRE(test.prompts.size() == 3);
  CHECK(test.prompts[0].references == Names{"The Hall of Brams is closed.", ""});
  CHECK(test.pairs.at(1).completion.empty());
  CHECK(
      test.notes ==
      Names{"3 entries with 6 texts; known are 5097 entries with 12552 texts in the official test "
            "set, 6959 entries with 12552 texts in microsoft/LoRA's test set: the official one "
            "and 1862 entries without texts",
            "1 text is empty; kept"});
}

TEST_CASE("entries without annotations are prompts without references", "[data]") {
  const TextData official = text_task_over("dart", samples("dart"))->load("test"),
                 lora = text_task_over("dart", samples("dart_lora"))->load("test");
  REQUIRE(lora.prompts.size() == 4);
  CHECK(lora.prompts[1].references.empty());
  CHECK(lora.notes.back() == "1 of 4 prompts without references: not to be scored");
  TextData scored = lora;
  std::erase_if(scored.prompts, [](const Prompt& p) { return p.references.empty(); });
  CHECK(flat(scored) == flat(official));
}

TEST_CASE("entries of one context are one prompt where that is asked for", "[data]") {
  const Json options = {{"prompts", "context"}};
  const TextData lora = text_task_over("dart", samples("dart_lora"), options)->load("test");
  REQUIRE(lora.prompts.size() == 2);
  CHECK(lora.prompts[1].context == "Orla : bridges : 9");
  CHECK(lora.prompts[1].references == Names{"Nine bridges cross the Orla.",
                                            "The Orla has 9 bridges.",
                                            "There are nine bridges over the Orla.",
                                            "The number of bridges over the Orla is nine."});
  CHECK(lora.pairs.size() == 6);
  CHECK(flat(lora) == flat(text_task_over("dart", samples("dart"), options)->load("test")));
}

TEST_CASE("both files of DART give the same pairs", "[data]") {
  const auto official = text_task_over("dart", samples("dart")),
             lora = text_task_over("dart", samples("dart_lora"));
  for (const char* split : {"train", "dev"}) {
    INFO(split);
    CHECK(flat(official->load(split)) == flat(lora->load(split)));
  }
}

TEST_CASE("DART's entries that hold no example are malformed, each with its line", "[data]") {
  const TempDir folder;
  const std::string file = (folder / "train.json").string();
  write_file(file,
             "[\r\n"
             "{\"tripleset\": [[\"a\", \"b\", \"c\"]], \"annotations\": [{\"text\": \"x\"}]},\r\n"
             "{\"tripleset\": [[\"a\", \"b\"]], \"annotations\": []},\r\n"
             "{\"tripleset\": [[\"a\", \"b\", 1]],\r\n\"annotations\": []},\r\n"
             "{\"tripleset\": [], \"annotations\": []},\r\n"
             "{\"triples\": []},\r\n"
             "{\"tripleset\": [[\"a\", \"b\", \"c\"]], \"annotations\": \"x\"},\r\n"
             "{\"tripleset\": [[\"a\", \"b\", \"c\"]], \"annotations\": [{\"text\": null}]},\r\n"
             "[]\r\n]\r\n");
  CHECK(with_f(error_of([&] { text_task_over("dart", folder.path())->load("train"); }), file) ==
        "F: 7 of 8 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 7):\n"
        "F:3: [\"a\",\"b\"] is not a triple: [subject, relation, object]\n"
        "F:4: [\"a\",\"b\",1] is not a triple: [subject, relation, object]\n"
        "F:6: there is no triple\n"
        "F:7: there is no key \"tripleset\"; the keys are: triples\n"
        "F:8: \"annotations\" is not an array: \"x\"\n"
        "F:9: \"text\" is not a string: null\n"
        "F:10: is not a JSON object: []");
  write_file(file, R"([{"tripleset": [["a", "b", "c"]], "annotations": []}])");
  CHECK(with_f(error_of([&] { text_task_over("dart", folder.path())->load("train"); }), file) ==
        "F: there is no text to learn from in its 1 entry");
}
