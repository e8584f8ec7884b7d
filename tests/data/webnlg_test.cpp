// WebNLG 2017, on the samples of data/samples.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Names = std::vector<std::string>;

TEST_CASE("WebNLG's contexts, texts and groups are those of microsoft/LoRA", "[data]") {
  const auto task = text_task_over("webnlg", samples("webnlg"));
  CHECK(task->info().groups == Names{"seen", "unseen"});
  const TextData train = task->load("train");
  CHECK(train.files.size() == 4);
  REQUIRE(train.pairs.size() == 8);
  CHECK(train.pairs[2].context == "Lindmoor_Airport : runwayLength : \"1,840.0\"");
  CHECK(train.pairs[2].completion == "The runway of Lindmoor Airport is 1,840 metres long.");
  CHECK(train.pairs[5].context ==
        "Harrow_pudding : country : Estmark | Harrow_pudding : ingredient : Plum");
  CHECK(train.pairs[7].context ==
        "University_of_Velde : city : Velde | Velde : leaderName : \"Ada & Bo Renner\"");
  const TextData test = task->load("test");
  REQUIRE(test.prompts.size() == 3);
  CHECK(test.prompts[0].group == "seen");
  CHECK(test.prompts[1].group == "unseen");
  CHECK(test.prompts[1].references == Names{"Mira Tolland plays folk music.",
                                            "The music of Mira Tolland is folk.",
                                            "Mira Tolland is a folk musician."});
}

TEST_CASE("texts that are not good are left out and told", "[data]") {
  const TextData train = text_task_over("webnlg", samples("webnlg"))->load("train");
  REQUIRE(train.prompts.size() == 6);
  CHECK(train.prompts[3].context == "Smörkringel : ingredient : Butter");
  CHECK(train.prompts[3].references.empty());
  CHECK(train.notes == Names{"6 entries with 8 texts; known are 6940 entries with 18025 texts",
                             "2 texts are left out: the comment is \"toFix\", not \"good\"",
                             "1 of 6 prompts without references: not to be scored"});
}

TEST_CASE("XML and JSON of WebNLG give the same", "[data]") {
  const auto xml = text_task_over("webnlg", samples("webnlg")),
             json = text_task_over("webnlg", samples("webnlg_lora"));
  for (const char* split : {"train", "dev", "test"}) {
    INFO(split);
    CHECK(flat(xml->load(split)) == flat(json->load(split)));
    CHECK(xml->load(split).notes == json->load(split).notes);
  }
}

TEST_CASE("WebNLG's test set may be without texts, or the unseen part", "[data]") {
  const auto no_texts =
      text_task_over("webnlg", samples("webnlg"), {{"test", "testdata_no_lex.xml"}})->load("test");
  CHECK(no_texts.pairs.empty());
  REQUIRE(no_texts.prompts.size() == 3);
  CHECK(no_texts.prompts[2].context ==
        "Mira_Tolland : birthPlace : Velde | Mira_Tolland : instrument : Nyckelharpa");
  CHECK(no_texts.notes.back() == "3 of 3 prompts without references: not to be scored");
  const auto unseen =
      text_task_over("webnlg", samples("webnlg"), {{"test", "testdata_unseen_with_lex.xml"}});
  REQUIRE(unseen->load("test").prompts.size() == 2);
  CHECK(unseen->load("test").prompts[0].group == "unseen");
}

TEST_CASE("WebNLG's entries that hold no example are malformed, each with its line", "[data]") {
  const TempDir folder;
  const auto good = "<modifiedtripleset><mtriple>a | b | c</mtriple></modifiedtripleset>";
  const std::string file = (folder / "test.xml").string();
  write_file(file, std::string("<benchmark><entries>\n") + "<entry category=\"Food\">" + good +
                       "</entry>\n" + "<entry>" + good + "</entry>\n" +
                       "<entry category=\"Food\"></entry>\n"
                       "<entry category=\"Food\"><modifiedtripleset/></entry>\n"
                       "<entry category=\"Food\"><modifiedtripleset>\n"
                       "<mtriple>a | b</mtriple></modifiedtripleset></entry>\n" +
                       "<entry category=\"Food\">" + good +
                       "<lex>x</lex></entry>\n"
                       "</entries></benchmark>\n");
  CHECK(with_f(error_of([&] { text_task_over("webnlg", folder.path())->load("test"); }), file) ==
        "F: 5 of 6 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 5):\n"
        "F:3: the entry has no category\n"
        "F:4: 0 <modifiedtripleset> instead of 1\n"
        "F:5: there is no triple\n"
        "F:6: \"a | b\" is not a triple: subject | property | object\n"
        "F:8: a <lex> has no comment");
  const TextData data =
      text_task_over("webnlg", folder.path(), {{"max_malformed", 5}})->load("test");
  CHECK(data.prompts.size() == 1);
  CHECK(data.malformed == 5);
}

TEST_CASE("a WebNLG file that is no such XML or JSON is an error with its line", "[data]") {
  const TempDir folder;
  const auto error = [&](const std::string& name, const std::string& content) {
    write_file(folder / name, content);
    const std::string message = error_of([&] {
      text_task_over("webnlg", folder.path(), {{"test", name}})->load("test");
    });
    return with_f(message, (folder / name).string());
  };
  CHECK(error("a.xml", "<benchmark>\n<entries>\n</benchmark>\n") ==
        "F:3: not valid XML: Start-end tags mismatch");
  CHECK(error("b.xml", "<benchmark>\n\xFF</benchmark>\n") == "F:2: not valid UTF-8");
  CHECK(error("c.xml", "<html></html>") == "F: there is no <benchmark> with <entries> in it");
  CHECK(error("d.xml", "\n") == "F: is empty");
  CHECK(error("e.xml", "<benchmark><entries/></benchmark>") == "F: there is no entry in it");
  CHECK(error("f.json", "{\"entries\": {}}") ==
        "F: is not a JSON object with an array \"entries\"");
  CHECK(error("g.json", "{\"entries\": [\n1]}")
            .ends_with("\nF:2: is not an object of one entry, {\"1\": {…}}"));
  CHECK(error("h.txt", "x") == "F: WebNLG files end in .xml or .json");
}
