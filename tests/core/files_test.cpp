#include "lib/core/files.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/support/paths.h"

using namespace mtlora;
using test::TempDir;

TEST_CASE("a file is written whole or not at all", "[core]") {
  const TempDir dir;
  write_file(dir / "a", "one");
  write_file(dir / "a", "two");
  CHECK(read_file(dir / "a") == "two");
  CHECK_FALSE(std::filesystem::exists(dir / "a.partial"));
  CHECK_THROWS_WITH(write_file(dir / "none" / "a", "x"), Catch::Contains("none/a"));
}

TEST_CASE("a file of any kind and size is read whole, and what cannot be read is named", "[core]") {
  const TempDir dir;
  for (const size_t size : {size_t{0}, size_t{4095}, size_t{4096}, size_t{1'000'000}}) {
    std::string content(size, 'x');
    for (size_t i = 0; i < size; i += 7) content[i] = static_cast<char>(i);
    write_file(dir / "a", content);
    CHECK(read_file(dir / "a") == content);
  }
  CHECK(read_file("/proc/self/smaps").size() > 10'000);  // its size is said to be 0
  CHECK_THROWS_WITH(read_file("/proc/self/mem"), "/proc/self/mem: cannot read: Input/output error");
  CHECK_THROWS_WITH(read_file(dir.path()), Catch::Contains("is a folder, not a file"));
  CHECK_THROWS_WITH(read_file(dir / "none"), Catch::Contains("none: cannot open: No such file"));
}

TEST_CASE("a path is shortened where it stays the same place", "[core]") {
  CHECK(plain_path("a/./b/../c//d/") == "a/c/d");
  CHECK(plain_path("../../a/..") == "../..");
  CHECK(plain_path("./") == ".");
  CHECK(plain_path("a/..") == ".");
  CHECK(plain_path("") == "");
  const TempDir dir;
  std::filesystem::create_directories(dir / "elsewhere" / "inner");
  std::filesystem::create_directory_symlink(dir / "elsewhere" / "inner", dir / "link");
  CHECK(plain_path(dir / "link" / ".." / "x") == dir / "link" / ".." / "x");
  CHECK(plain_path(dir / "elsewhere" / ".." / "x") == dir / "x");
  CHECK(plain_path(dir / "link" / "deep" / ".." / "x") == dir / "link" / "x");
}

TEST_CASE("a full disk is an error that names the file and leaves the old content", "[core]") {
  if (!test::available("/dev/full")) return;
  CHECK_THROWS_WITH(write_file_in_place("/dev/full", "x"),
                    Catch::Contains("/dev/full") && Catch::Contains("No space left"));
}

TEST_CASE("a folder is replaced as a whole", "[core]") {
  const TempDir dir;
  for (const char* name : {"new", "old"}) {
    std::filesystem::create_directory(dir / name);
    write_file(dir / name / "content", name);
  }
  replace_folder(dir / "new", dir / "old");
  CHECK(read_file(dir / "old" / "content") == "new");
  CHECK_FALSE(std::filesystem::exists(dir / "new"));
}

TEST_CASE(
    "a folder is replaced where names cannot be exchanged, and is found when that is cut short",
    "[core]") {
  const TempDir dir;
  const auto make = [&](const char* name) {
    std::filesystem::create_directory(dir / name);
    write_file(dir / name / "content", name);
  };
  make("last");
  make("new");
  replace_folder_in_steps(dir / "new", dir / "last");
  CHECK(read_file(dir / "last" / "content") == "new");
  CHECK_FALSE(std::filesystem::exists(dir / "last.old"));
  CHECK_FALSE(recover_folder(dir / "last"));

  CHECK(can_be_recovered(dir / "last"));
  std::filesystem::rename(dir / "last", dir / "last.old");  // and then the power went
  CHECK(can_be_recovered(dir / "last"));
  CHECK_FALSE(can_be_recovered(dir / "best"));
  CHECK(recover_folder(dir / "last"));
  CHECK(read_file(dir / "last" / "content") == "new");

  make("last.old");  // it went before the old one was removed
  CHECK_FALSE(recover_folder(dir / "last"));
  CHECK(read_file(dir / "last" / "content") == "new");
  CHECK_FALSE(std::filesystem::exists(dir / "last.old"));
}

TEST_CASE("a mapped file shows its bytes; what is no file is refused", "[core]") {
  const TempDir dir;
  write_file(dir / "a", "bytes");
  write_file(dir / "empty", "");
  CHECK(MappedFile(dir / "a").bytes() == "bytes");
  CHECK(MappedFile(dir / "empty").bytes().empty());
  CHECK_THROWS_AS(MappedFile(dir / "none"), Error);
  CHECK_THROWS_AS(MappedFile(dir.path()), Error);
  CHECK_THROWS_AS(read_file(dir.path()), Error);
}
