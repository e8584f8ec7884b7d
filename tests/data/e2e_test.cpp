// The E2E challenge, on the samples of data/samples.

#include <catch2/catch.hpp>

#include "lib/data/meaning_representation.h"
#include "tests/data/support.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;
using Names = std::vector<std::string>;

TEST_CASE("E2E's lines are split at the bars, prompts are the distinct contexts", "[data]") {
  const TextData train = text_task_over("e2e", samples("e2e"))->load("train");
  REQUIRE(train.pairs.size() == 4);
  CHECK(train.pairs[0].context ==
        "name : The Copper Kettle | Type : pub | price : £ 20 - 25 | near : Café Lune");
  CHECK(train.pairs[0].completion ==
        "The Copper Kettle is a pub near Café Lune , with prices of £ 20 - 25 .");
  REQUIRE(train.prompts.size() == 3);
  CHECK(train.prompts[0].context == train.pairs[0].context);
  CHECK(train.prompts[0].references == Names{train.pairs[0].completion, train.pairs[2].completion});
  CHECK(train.prompts[1].context == "name : Blue Fern | food : Fast food | family friendly : yes");
}

TEST_CASE("E2E's CSV gives the contexts of the lines", "[data]") {
  const auto lines = text_task_over("e2e", samples("e2e")),
             csv = text_task_over("e2e", samples("e2e_csv"));
  for (const char* split : {"train", "dev", "test"}) {
    INFO(split);
    const TextData a = lines->load(split), b = csv->load(split);
    REQUIRE(a.pairs.size() == b.pairs.size());
    for (size_t i = 0; i < a.pairs.size(); ++i) CHECK(a.pairs[i].context == b.pairs[i].context);
    REQUIRE(a.prompts.size() == b.prompts.size());
    for (size_t i = 0; i < a.prompts.size(); ++i)
      CHECK(a.prompts[i].references.size() == b.prompts[i].references.size());
  }
  const TextData train = csv->load("train");
  CHECK(train.pairs.at(2).completion == "Near Café Lune is a pub, \"The Copper Kettle\".");
  CHECK_THAT(train.notes.at(0), Contains("spaces around punctuation"));
}

TEST_CASE("E2E's test set is that with texts where both are there", "[data]") {
  const auto task = text_task_over("e2e", samples("e2e_csv"));
  CHECK(task->load("test").files.at(0).filename() == "testset_w_refs.csv");
  const TempDir folder;
  std::filesystem::copy(samples("e2e_csv") / "testset.csv", folder.path());
  const TextData alone = text_task_over("e2e", folder.path())->load("test");
  REQUIRE(alone.prompts.size() == 2);
  CHECK(alone.pairs.empty());
  CHECK(alone.prompts[1].context == "name : Blue Fern | price : more than £ 30");
  CHECK(alone.notes.back() == "2 of 2 prompts without references: not to be scored");
  std::filesystem::copy(samples("e2e_csv") / "testset.csv", folder / "dev.csv");
  CHECK(with_f(error_of([&] { text_task_over("e2e", folder.path())->load("dev"); }),
               (folder / "dev.csv").string()) ==
        "F: there is no column \"ref\"; the columns are: mr");
}

TEST_CASE("a meaning representation becomes a context", "[data]") {
  CHECK(context_of_meaning("name[X]") == "name : X");
  CHECK(context_of_meaning("name[A, B], eatType[pub], priceRange[£20-25], rating[3 out of 5]") ==
        "name : A, B | Type : pub | price : £ 20 - 25 | rating : 3 out of 5");
  CHECK(context_of_meaning("priceRange[more than £30]") == "price : more than £ 30");
  CHECK(context_of_meaning("priceRange[£ 20 - 25]") == "price : £ 20 - 25");
  CHECK(context_of_meaning("customer rating[high], familyFriendly[no], near[]") ==
        "customer rating : high | family friendly : no | near : ");
  for (const char* wrong : {"", "name", "name[X", "[X]", "name]X[", "name[X], "}) {
    INFO(wrong);
    CHECK_THAT(error_of([&] { context_of_meaning(wrong); }),
               Contains("is not a list of attributes"));
  }
  CHECK(error_of([] { context_of_meaning("name[X] area[Y]"); }) ==
        "\"name[X] area[Y]\": \", \" is wanted between attributes: see \" area[Y]\"");
}

TEST_CASE("E2E's rows that hold no example are malformed, each with its line", "[data]") {
  using namespace std::string_literals;
  const TempDir folder;
  const auto error = [&](const std::string& name, const std::string& content) {
    write_file(folder / name, content);
    const std::string message = error_of([&] {
      text_task_over("e2e", folder.path(), {{"train", name}})->load("train");
    });
    return with_f(message, (folder / name).string());
  };
  CHECK(error("a.txt",
              "\xEF\xBB\xBFname : A||x\r\nname : B\r\nname : C||x||y\r\n||x\r\nA||\xFF\r\n") ==
        "F: 4 of 5 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 4):\n"
        "F:2: is not of the form context||text\n"
        "F:3: is not of the form context||text\n"
        "F:4: there is no context before \"||\"\n"
        "F:5: the text is not UTF-8 from its byte 1 on");
  CHECK(error("nul.txt", "name : A||x\nname : B||y\0z\n\0name : C||z\n"s) ==
        "F: 2 of 3 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 2):\n"
        "F:2: the line holds a NUL byte, its byte 12\n"
        "F:3: the line holds a NUL byte, its byte 1");
  CHECK(error("b.csv", "mr,ref\nname[A],x\nname,x\nname[B]\n") ==
        "F: 2 of 3 rows malformed, 0 allowed (to leave them out, set task.max_malformed to 2):\n"
        "F:3: \"name\" is not a list of attributes, name[value], name[value]: see \"name\"\n"
        "F:4: 1 column instead of 2");
  CHECK(error("c.csv", "MR\nname[A]\n") == "F: there is no column \"ref\"; the columns are: mr");
  CHECK(error("d.txt", "\r\n\r\n") == "F: is empty");
  CHECK(error("e.csv", "mr,ref\n") == "F: there is no entry in it");
  CHECK(error("f.json", "[]") == "F: E2E files end in .txt or .csv");
  CHECK(error("g.txt", "\xFF\xFEx") == "F: is UTF-16; save it as UTF-8");
}
