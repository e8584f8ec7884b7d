#include "lib/core/gguf.h"

#include <catch2/catch.hpp>

#include "lib/core/error.h"
#include "tests/core/gguf_file.h"
#include "tests/support/paths.h"

namespace mtlora {
namespace {

using Catch::Contains;
using test::gguf_array;
using test::gguf_text;
using test::GgufBytes;
using test::raw;

// The message that opening these bytes gives, "" where they open.
std::string refusal(const std::string& bytes) {
  const test::TempDir folder;
  write_file(folder / "a.gguf", bytes);
  try {
    GgufFile file(folder / "a.gguf");
  } catch (const Error& e) {
    CHECK_THAT(e.what(), Contains("a.gguf: "));
    return e.what();
  }
  return "";
}

GgufBytes with_tensor(std::vector<uint64_t> sizes, uint32_t type = 0, uint64_t offset = 0) {
  GgufBytes made;
  made.tensors.push_back({"w", std::move(sizes), type, offset});
  made.data.resize(64);
  return made;
}

GgufBytes whole() {
  GgufBytes made;
  made.add("a.text", "näme")
      .add("a.flag", true)
      .add("a.count", uint32_t{7})
      .add("a.rate", 0.5f)
      .add("a.small", 1, raw<int8_t>(-3))
      .add("a.large", 10, raw<uint64_t>(1ull << 40))
      .add("a.words", std::vector<std::string>{"", "x y", "z"})
      .add_numbers<int32_t>("a.types", 5, {1, -2})
      .add_numbers<double>("a.scores", 12, {0.25})
      .add_tensor("w", {3, 2}, 0, std::string(24, 'w'))
      .add_tensor("q", {64}, 8, std::string(68, 'q'));
  return made;
}

}  // namespace

TEST_CASE("metadata and tensors of a GGUF file come back, in order", "[core]") {
  const test::TempDir folder;
  for (const uint32_t version : {2u, 3u}) {
    GgufBytes made = whole();
    made.version = version;
    write_file(folder / "a.gguf", made.bytes());
    const GgufFile file(folder / "a.gguf");
    CHECK(file.version() == version);
    CHECK(file.keys() == std::vector<std::string>{"a.text", "a.flag", "a.count", "a.rate",
                                                  "a.small", "a.large", "a.words", "a.types",
                                                  "a.scores"});
    CHECK(file.text("a.text") == "näme");
    CHECK(file.boolean("a.flag"));
    CHECK(file.integer("a.count") == 7);
    CHECK(file.number("a.count") == 7);
    CHECK(file.number("a.rate") == 0.5);
    CHECK(file.integer("a.small") == -3);
    CHECK(file.integer("a.large") == int64_t{1} << 40);
    CHECK(file.texts("a.words") == std::vector<std::string_view>{"", "x y", "z"});
    CHECK(file.integers("a.types") == std::vector<int64_t>{1, -2});
    CHECK(file.numbers("a.scores") == std::vector<double>{0.25});
    CHECK_FALSE(file.has("a"));
    REQUIRE(file.tensors().size() == 2);
    CHECK(file.tensors()[0].name == "w");
    CHECK(file.tensors()[0].shape == std::vector<int64_t>{2, 3});
    CHECK(file.tensors()[0].bytes == std::string(24, 'w'));
    CHECK(file.tensors()[1].type->name == "Q8_0");
    CHECK(file.tensors()[1].bytes == std::string(68, 'q'));
  }
}

TEST_CASE("a file's own alignment counts", "[core]") {
  const test::TempDir folder;
  GgufBytes made;
  made.alignment = 8;
  made.add("general.alignment", uint32_t{8}).add_tensor("w", {2}, 0, "12345678");
  write_file(folder / "a.gguf", made.bytes());
  CHECK(GgufFile(folder / "a.gguf").tensors()[0].bytes == "12345678");
}

TEST_CASE("a value of another kind than is asked for is named", "[core]") {
  const test::TempDir folder;
  GgufBytes made = whole();
  made.add("a.huge", 10, raw(~uint64_t{0})).add("a.odd", 7, raw<uint8_t>(2));
  write_file(folder / "a.gguf", made.bytes());
  const GgufFile file(folder / "a.gguf");
  CHECK_THROWS_WITH(file.integer("b"), Contains("a.gguf: lacks the metadata \"b\""));
  CHECK_THROWS_WITH(file.integer("a.rate"),
                    Contains("\"a.rate\": an integer is wanted, but it is float32"));
  CHECK_THROWS_WITH(file.number("a.flag"), Contains("a number is wanted, but it is boolean"));
  CHECK_THROWS_WITH(file.text("a.count"), Contains("text is wanted, but it is uint32"));
  CHECK_THROWS_WITH(file.boolean("a.text"), Contains("a boolean is wanted, but it is text"));
  CHECK_THROWS_WITH(file.integer("a.types"), Contains("a single value is wanted"));
  CHECK_THROWS_WITH(file.texts("a.text"), Contains("an array is wanted"));
  CHECK_THROWS_WITH(file.texts("a.types"), Contains("text is wanted, but it is an array of int32"));
  CHECK_THROWS_WITH(file.integers("a.words"), Contains("an array of text"));
  CHECK_THROWS_WITH(file.integer("a.huge"), Contains("18446744073709551615 is too large"));
  CHECK_THROWS_WITH(file.boolean("a.odd"), Contains("expected 0 or 1"));
}

TEST_CASE("what is no GGUF file, or of another version, is refused", "[core]") {
  CHECK_THAT(refusal(""), Contains("this is not a GGUF file"));
  CHECK_THAT(refusal("GGUF"), Contains("this is not a GGUF file"));
  CHECK_THAT(refusal("ggml" + std::string(100, '\0')), Contains("this is not a GGUF file"));
  GgufBytes made;
  made.version = 1;
  CHECK_THAT(refusal(made.bytes()), Contains("version 1 of GGUF is not implemented"));
  made.version = 4;
  CHECK_THAT(refusal(made.bytes()), Contains("version 4 of GGUF is not implemented"));
  made.version = 0x03000000;
  CHECK_THAT(refusal(made.bytes()), Contains("big-endian"));
}

TEST_CASE("a GGUF file that is cut off anywhere is refused", "[core]") {
  const std::string bytes = whole().bytes();
  CHECK(refusal(bytes).empty());
  size_t refused = 0;
  for (size_t length = 0; length < bytes.size(); ++length)
    refused += !refusal(bytes.substr(0, length)).empty();
  CHECK(refused == bytes.size());
}

TEST_CASE("counts that the file is too short for are refused before anything is allocated",
          "[core]") {
  GgufBytes made;
  made.data.resize(100);
  for (const int64_t count : {int64_t{9}, INT64_MAX}) {
    made.tensor_count = count, made.metadata_count = -1;
    CHECK_THAT(refusal(made.bytes()), Contains("count of tensors") && Contains("do not fit"));
    made.tensor_count = -1, made.metadata_count = count;
    CHECK_THAT(refusal(made.bytes()), Contains("count of metadata") && Contains("do not fit"));
  }
  const auto array = [](uint32_t type, uint64_t count) {
    return refusal(GgufBytes().add("k", 9, gguf_array(type, count, "1234")).bytes());
  };
  CHECK_THAT(array(8, uint64_t{1} << 61), Contains("metadata \"k\", byte") && Contains("not fit"));
  CHECK_THAT(array(5, ~uint64_t{0}), Contains("metadata \"k\", byte") && Contains("not fit"));
  CHECK_THAT(array(12, uint64_t{1} << 61), Contains("metadata \"k\", byte"));
  CHECK_THAT(array(9, 1), Contains("an array of arrays"));
  CHECK_THAT(array(13, 1), Contains("unknown type of value 13"));
}

TEST_CASE("strings and names of a GGUF file are in bounds", "[core]") {
  const auto text = [](uint64_t length) {
    return refusal(GgufBytes().add("k", 8, raw(length) + "abc").bytes());
  };
  CHECK_THAT(text(uint64_t{4} << 30), Contains("\"k\", byte") && Contains("4294967296 bytes"));
  CHECK_THAT(text(~uint64_t{0}), Contains("18446744073709551615 bytes"));
  GgufBytes long_key;
  CHECK_THAT(refusal(long_key.add(std::string(257, 'k'), uint32_t{1}).bytes()),
             Contains("metadata number 1") && Contains("a name of 257 bytes"));
  GgufBytes no_key;
  CHECK_THAT(refusal(no_key.add("", uint32_t{1}).bytes()), Contains("a name of 0 bytes"));
  GgufBytes no_name = with_tensor({2});
  no_name.tensors[0].name = "";
  CHECK_THAT(refusal(no_name.bytes()), Contains("tensor number 1") && Contains("of 0 bytes"));
}

TEST_CASE("a name that stands twice in a GGUF file is refused", "[core]") {
  GgufBytes made;
  made.add("k", uint32_t{1}).add("k", "again");
  CHECK_THAT(refusal(made.bytes()), Contains("metadata \"k\"") && Contains("twice"));
  made = with_tensor({2});
  made.tensors.push_back(made.tensors[0]);
  CHECK_THAT(refusal(made.bytes()), Contains("tensor \"w\"") && Contains("twice"));
}

TEST_CASE("a tensor that does not lie whole in its GGUF file is refused", "[core]") {
  CHECK(refusal(with_tensor({8, 2}).bytes()).empty());
  CHECK_THAT(refusal(with_tensor({8, 3}).bytes()),
             Contains("tensor \"w\", byte") && Contains("96 bytes from byte 0 of the data"));
  CHECK_THAT(refusal(with_tensor({8}, 0, 64).bytes()), Contains("from byte 64"));
  CHECK_THAT(refusal(with_tensor({8}, 0, ~uint64_t{31}).bytes()), Contains("is the file cut off?"));
  CHECK_THAT(refusal(with_tensor({8}, 0, 4).bytes()), Contains("no multiple of the alignment 32"));
  CHECK_THAT(refusal(with_tensor({}).bytes()), Contains("0 dimensions"));
  CHECK_THAT(refusal(with_tensor({1, 1, 1, 1, 1}).bytes()), Contains("5 dimensions"));
  CHECK_THAT(refusal(with_tensor({0, 3}).bytes()), Contains("a size of 0"));
  CHECK_THAT(refusal(with_tensor({1ull << 32, 1ull << 32}).bytes()), Contains("too large"));
  CHECK_THAT(refusal(with_tensor({~0ull}).bytes()), Contains("too large"));
  CHECK_THAT(refusal(with_tensor({33}, 2).bytes()), Contains("not whole blocks of 32 (Q4_0)"));
  CHECK_THAT(refusal(with_tensor({32}, 5).bytes()), Contains("unknown type of tensor 5"));
}

TEST_CASE("an alignment that is no power of two is refused", "[core]") {
  for (const uint32_t alignment : {0u, 3u, 48u, 1u << 31}) {
    GgufBytes made = with_tensor({2});
    made.add("general.alignment", alignment);
    CHECK_THAT(refusal(made.bytes()),
               Contains("\"general.alignment\"") && Contains("is not a power of two"));
  }
}

}  // namespace mtlora
