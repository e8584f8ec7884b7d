#include "lib/train/tensorboard.h"

#include "tests/support/test.h"
// LibTorch comes before Catch2: hence the order of these.
#include <algorithm>
#include <cmath>
#include <vector>

#include "lib/core/error.h"
#include "lib/core/files.h"
#include "tests/support/paths.h"

using namespace mtlora;
using test::TempDir;

namespace {

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

// The only event file of a folder.
std::string content_of(const std::filesystem::path& folder) {
  REQUIRE(names_in(folder).size() == 1);
  return read_file(folder / names_in(folder).front());
}

// A tag and the value behind it, as bytes: field 2 is a float.
bool has_point(const std::string& content, const std::string& tag, float value) {
  std::string bytes = tag + '\x15';
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
  return content.find(bytes) != std::string::npos;
}

}  // namespace

TEST_CASE("events become points with the tags of Trainer", "[train]") {
  const TempDir dir;
  TensorBoard board(dir.path(), {.step = 10, .examples = 320, .seconds = 2});
  board.write({{"event", "train"}, {"step", 15}, {"loss", 0.5}, {"lr", 0.25}, {"examples", 480}},
              4);
  board.write({{"event", "train"},
               {"step", 20},
               {"loss", 0.5},
               {"lr", 0.125},
               {"examples", 640},
               {"gradient_norm", 3}},
              4.5);
  const std::string content = content_of(dir.path());
  CHECK(has_point(content, "train/loss", 0.5));
  CHECK(has_point(content, "train/learning_rate", 0.25));
  CHECK(has_point(content, "train/learning_rate", 0.125));
  CHECK(has_point(content, "train/grad_norm", 3));
  CHECK(has_point(content, "train/examples_per_second", 80));
  CHECK(has_point(content, "train/examples_per_second", 320));
}

TEST_CASE("a split beside the first has curves of its own", "[train]") {
  const TempDir dir;
  TensorBoard board(dir.path(), {});
  const auto evaluation = [](const char* split, const Json& accuracy) {
    return Json{{"event", "eval"},
                {"step", 5},
                {"metrics", {{"accuracy", accuracy}}},
                {"loss", std::nan("")},
                {"split", split}};
  };
  board.write(evaluation("dev", 0.5), 1);
  board.write(evaluation("dev_matched", 0.75), 1);
  board.write(evaluation("dev_mismatched", nullptr), 1);
  const std::string content = content_of(dir.path());
  CHECK(has_point(content, "eval/accuracy", 0.5));
  CHECK(has_point(content, "eval/loss", std::nanf("")));
  CHECK(has_point(content, "eval/matched_accuracy", 0.75));
  CHECK(has_point(content, "eval/mismatched_accuracy", std::nanf("")));
}

TEST_CASE("what has no numbers to draw adds nothing", "[train]") {
  const TempDir dir;
  TensorBoard board(dir.path(), {});
  const std::string before = content_of(dir.path());
  board.write({{"event", "checkpoint"}, {"step", 5}, {"kind", "best"}}, 1);
  board.write({{"event", "skipped"}, {"step", 6}}, 1);
  CHECK(content_of(dir.path()) == before);
}

TEST_CASE("a file's name comes behind those that are there, whatever the clock says", "[train]") {
  const TempDir dir;
  const std::string ahead = "events.out.tfevents.9000000000.host.1.0";
  write_file(dir / "notes.txt", "");
  write_file(dir / ahead, "");
  const TensorBoard second(dir.path(), {}), third(dir.path(), {});
  const std::vector<std::string> names = names_in(dir.path());
  REQUIRE(names.size() == 4);
  CHECK(names[0] == ahead);
  CHECK_THAT(names[1], Catch::StartsWith("events.out.tfevents.9000000001."));
  CHECK_THAT(names[2], Catch::StartsWith("events.out.tfevents.9000000002."));
}

TEST_CASE("a place for event files that is none is an error that names it", "[train]") {
  const TempDir dir;
  write_file(dir / "tensorboard", "a file");
  CHECK_THROWS_WITH(TensorBoard(dir / "tensorboard", {}), Catch::Contains("tensorboard: cannot"));
}
