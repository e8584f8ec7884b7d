// The registry holds tasks of both kinds; every text task reads its sample.

#include <catch2/catch.hpp>

#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Names = std::vector<std::string>;

TEST_CASE("a task is of exactly one kind", "[data]") {
  CHECK(tasks().size() == 14);
  CHECK(task_kind().names().size() == 14);
  Names text_tasks;
  for (const TaskEntry& entry : tasks()) {
    INFO(entry.name);
    CHECK((entry.start == nullptr) != (entry.start_text == nullptr));
    CHECK(is_text_task(entry.name) == (entry.start_text != nullptr));
    if (is_text_task(entry.name)) text_tasks.push_back(entry.name);
  }
  CHECK(text_tasks == Names{"webnlg", "dart", "e2e", "data_to_text"});
}

TEST_CASE("a task of the other kind is refused", "[data]") {
  CHECK(error_of([] {
          start_task({"dart", Json::object()});
        }) == "/task/name: \"dart\" is a task of generating text; one with labels is wanted here");
  CHECK(error_of([] {
          start_text_task({"rte", Json::object()});
        }) == "/task/name: \"rte\" is a task with labels; one of generating text is wanted here");
  CHECK(error_of([] { is_text_task("drat"); }) ==
        "/task/name: unknown task \"drat\"; did you mean \"dart\"?");
}

TEST_CASE("every text task says what it is and reads its sample", "[data]") {
  int checked = 0;
  for (const TaskEntry& entry : tasks()) {
    if (!entry.start_text) continue;
    INFO(entry.name);
    const auto task = text_task_over(entry.name, samples(entry.name));
    CHECK(task->info().name == entry.name);
    CHECK(task->info().score_preset == (entry.name == "data_to_text" ? "" : entry.name));
    CHECK(task->splits() == Names{"train", "dev", "test"});
    for (const std::string& split : task->splits()) {
      INFO(split);
      const TextData data = task->load(split);
      CHECK(data.split == split);
      CHECK(data.hash.size() == 16);
      CHECK(data.malformed == 0);
      CHECK_FALSE(data.prompts.empty());
      CHECK(data.pairs.empty() == (entry.name == "data_to_text" && split == "test"));
    }
    ++checked;
  }
  CHECK(checked == 4);
}

TEST_CASE("a missing file of a text task is named with where to get it", "[data]") {
  const TempDir folder;
  CHECK(error_of([&] { text_task_over("webnlg", folder.path())->load("test"); }) ==
        folder.path().string() +
            ": there is no file of the test split: looked for test.json, test.xml, "
            "testdata_with_lex.json, testdata_with_lex.xml, testdata_no_lex.json, "
            "testdata_no_lex.xml, testdata_unseen_with_lex.json, testdata_unseen_with_lex.xml; the "
            "folder is empty. Take the XML files of "
            "https://webnlg-challenge.loria.fr/challenge_2017, or "
            "examples/NLG/data/webnlg_challenge_2017 of https://github.com/microsoft/LoRA, and "
            "name their folder with task.data. A file of another name is named with task.test.");
  CHECK(error_of([&] { text_task_over("e2e", folder.path())->load("valid"); }) ==
        "unknown split \"valid\"; known: train, dev, test");
}

TEST_CASE("a file of a text task that is named must be there", "[data]") {
  const TempDir folder;
  write_file(folder / "train.txt", "name : A||x\n");
  write_file(folder / "testset.csv", "MR\nname[A]\n");  // found where none is named
  CHECK(text_task_over("e2e", folder.path())->splits() == Names{"train", "test"});
  for (const std::string option : {"dev", "test"}) {
    const auto task = text_task_over("e2e", folder.path(), {{option, "other.txt"}});
    const std::string wanted = "/task/" + option + ": there is no file " + folder.path().string() +
                               "/other.txt; the folder holds testset.csv, train.txt";
    CHECK(error_of([&] { task->splits(); }) == wanted);
    CHECK(error_of([&] { task->load(option); }) == wanted);
  }
  CHECK_FALSE(text_task_over("e2e", folder.path(), {{"train", "train.txt"}})->splits().empty());
}

TEST_CASE("the hash tells what was read", "[data]") {
  const auto xml = text_task_over("webnlg", samples("webnlg"));
  CHECK(xml->load("train").hash == xml->load("train").hash);
  CHECK(xml->load("train").hash != xml->load("dev").hash);
  const TempDir folder;
  std::filesystem::copy(samples("webnlg"), folder.path(), std::filesystem::copy_options::recursive);
  const auto copy = text_task_over("webnlg", folder.path());
  CHECK(copy->load("train").hash == xml->load("train").hash);
  const auto file = folder.path() / "train/2triples/2triples_Food_train_challenge.xml";
  write_file(file, read_file(file) + "\n");
  CHECK(copy->load("train").hash != xml->load("train").hash);
}
