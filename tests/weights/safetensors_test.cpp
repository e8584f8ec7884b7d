#include "lib/weights/safetensors.h"

#include "tests/support/golden.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

// The message that opening a file of these bytes gives.
std::string refusal(const std::string& bytes) {
  const TempDir folder;
  write_file(folder / "a.safetensors", bytes);
  const std::string message = error_of([&] { open_weights(folder / "a.safetensors"); });
  CHECK_THAT(message, Contains("a.safetensors"));
  return message;
}

std::string entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

// The same for a file with one tensor "w" before `bytes` zeros.
std::string refusal(const std::string& w, size_t bytes) {
  return refusal(safetensors_of(R"({"w":)" + w + "}", std::string(bytes, '\0')));
}

NamedTensors one_of_each_type() {
  NamedTensors tensors;
  for (const auto dtype :
       {torch::kDouble, torch::kFloat, torch::kHalf, torch::kBFloat16, torch::kLong, torch::kInt,
        torch::kShort, torch::kChar, torch::kByte, torch::kBool})
    tensors.emplace_back(c10::toString(dtype), torch::randint(0, 2, {3, 2}).to(dtype));
  return tensors;
}

}  // namespace

TEST_CASE("tensors of every type come back from a safetensors file, in order", "[weights]") {
  const TempDir folder;
  NamedTensors tensors = one_of_each_type();
  tensors.emplace_back("transposed", torch::randn({4, 3}).t());
  tensors.emplace_back("scalar", torch::tensor(2.5));
  tensors.emplace_back("empty", torch::zeros({0, 7}));
  tensors.emplace_back("näme \"quoted\"\n", torch::arange(5));
  write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}, {"wörd", "\t"}});
  const auto file = open_weights(folder / "a.safetensors");
  REQUIRE(file->tensors().size() == 14);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, want] = tensors[i];
    CAPTURE(name);
    CHECK(file->tensors()[i].name == name);
    CHECK(file->tensors()[i].dtype == want.scalar_type());
    CHECK(file->tensors()[i].shape == want.sizes().vec());
    CHECK(torch::equal(file->read(name), want));
    CHECK(file->read(name).scalar_type() == want.scalar_type());
  }
  CHECK(file->metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"wörd", "\t"}});
}

TEST_CASE("equal tensors give equal bytes, in the layout of the format", "[weights]") {
  const TempDir folder;
  const NamedTensors tensors{{"b", torch::ones({1})}, {"a", torch::zeros({1}, torch::kByte)}};
  write_safetensors(folder / "1", tensors);
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                             R"("a":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(read_file(folder / "1") == safetensors_of(padded, std::string("\0\0\x80\x3f\0", 5)));
  write_safetensors(folder / "none", {});
  CHECK(read_file(folder / "none") == safetensors_of("{}      ", ""));
  CHECK(open_weights(folder / "none")->tensors().empty());
}

TEST_CASE("a tensor read outlives its file, and is a view where its bytes are aligned",
          "[weights]") {
  const TempDir folder;
  const torch::Tensor want = torch::randn({5});
  write_safetensors(folder / "a.safetensors",
                    {{"byte", torch::zeros({1}, torch::kByte)}, {"unaligned", want}});
  write_safetensors(folder / "b.safetensors", {{"aligned", want}});
  const auto read = [&](const char* file, const char* name) {
    return open_weights(folder / file)->read(name);
  };
  const torch::Tensor copy = read("a.safetensors", "unaligned");
  CHECK(torch::equal(copy, want));
  CHECK(reinterpret_cast<uintptr_t>(copy.data_ptr()) % alignof(float) == 0);
  CHECK(torch::equal(read("b.safetensors", "aligned"), want));
  const auto open = open_weights(folder / "b.safetensors");
  CHECK(open->read("aligned").data_ptr() == open->read("aligned").data_ptr());
}

TEST_CASE("a file that Python wrote is read", "[weights]") {
  const auto file = open_weights(golden_path("formats/plain.safetensors"));
  REQUIRE(file->tensors().size() == 17);
  CHECK(file->metadata().at("format") == "pt");
  CHECK(file->read("scalar").item<float>() == 2.5f);
  CHECK(file->read("empty").sizes() == at::IntArrayRef{0, 4});
  CHECK(torch::equal(file->read("u8"), torch::arange(7, torch::kByte)));
  CHECK(torch::equal(file->read("bool"), torch::tensor({true, false, true})));
  CHECK(torch::equal(file->read("transposed").t(), file->read("grid")));
  CHECK(torch::equal(file->read("f16"), file->read("f16").to(torch::kFloat).to(torch::kHalf)));
  CHECK(file->read("bf16").scalar_type() == torch::kBFloat16);
}

TEST_CASE("a tensor that is not there is named beside the nearest one", "[weights]") {
  const auto file = open_weights(golden_path("bert-tiny"));
  CHECK_THAT(error_of([&] { file->read("classifier.wieght"); }),
             Contains("model.safetensors") && Contains("\"classifier.wieght\"") &&
                 Contains("did you mean \"classifier.weight\"?"));
}

TEST_CASE("a safetensors file that is cut off, or no such file, is refused", "[weights]") {
  CHECK_THAT(refusal(""), Contains("0 bytes are too few"));
  CHECK_THAT(refusal("1234567"), Contains("7 bytes are too few"));
  CHECK_THAT(refusal(little(9, 8) + "{}"), Contains("9 bytes, but only 2 follow"));
  CHECK_THAT(refusal(little(100'000'001, 8) + "{}"), Contains("at most 100000000"));
  CHECK_THAT(refusal(little(~0ull, 8) + "{}"), Contains("at most 100000000"));
  CHECK_THAT(refusal(safetensors_of("", "")), Contains("not valid JSON"));
  CHECK_THAT(refusal(safetensors_of("[]", "")), Contains("not a JSON object"));
  CHECK_THAT(refusal(safetensors_of("{} x", "")), Contains("not valid JSON"));
  CHECK_THAT(refusal(safetensors_of("{\"\xff\":1}", "")), Contains("not valid JSON"));
  CHECK_THAT(refusal(safetensors_of(R"({"w":1e999})", "")), Contains("not valid JSON"));
  CHECK_THAT(refusal(safetensors_of("{\"w\":" + std::string(100000, '['), "")),
             Contains("nested too deep"));
  CHECK_THAT(refusal(safetensors_of("{}", "x")),
             Contains("end at byte 0 of the data, which has 1"));
}

TEST_CASE("an entry of a safetensors header that is wrong is named, with what was expected",
          "[weights]") {
  const auto named = Contains("tensor \"w\"");
  CHECK_THAT(refusal("3", 0), named && Contains("expected {dtype, shape, data_offsets}, got 3"));
  CHECK_THAT(refusal(R"({"dtype":"F32","shape":[]})", 4), named && Contains("\"data_offsets\""));
  CHECK_THAT(refusal(entry("F8", "[4]", "[0,4]"), 4), named && Contains("\"F8\"; expected one of"));
  CHECK_THAT(refusal(entry("F32", "[-1]", "[0,4]"), 4), named && Contains("sizes as shape"));
  CHECK_THAT(refusal(entry("F32", "[1.0]", "[0,4]"), 4), named && Contains("sizes as shape"));
  CHECK_THAT(refusal(entry("F32", "4", "[0,4]"), 4), named && Contains("sizes as shape"));
  CHECK_THAT(refusal(entry("U8", "[18446744073709551615]", "[0,4]"), 4),
             named && Contains("sizes as shape"));
  CHECK_THAT(refusal(entry("U8", "[4294967296,4294967296]", "[0,0]"), 0),
             named && Contains("too large for any memory"));
  CHECK_THAT(refusal(entry("F64", "[2305843009213693952]", "[0,0]"), 0),
             named && Contains("too large for any memory"));
  CHECK_THAT(refusal(entry("U8", "[0,4294967296,4294967296]", "[0,0]"), 0),
             named && Contains("too large for any memory"));
  CHECK_THAT(refusal(entry("F32", "[1]", "[4,0]"), 4), named && Contains("[begin, end]"));
  CHECK_THAT(refusal(entry("F32", "[1]", "[-4,0]"), 4), named && Contains("[begin, end]"));
  CHECK_THAT(refusal(entry("F32", "[1]", "[0]"), 4), named && Contains("[begin, end]"));
  CHECK_THAT(refusal(entry("F32", "[2]", "[0,4]"), 4),
             named && Contains("F32 [2] takes 8 bytes, but data_offsets [0,4] hold 4"));
  CHECK_THAT(refusal(entry("F32", "[2]", "[0,8]"), 4),
             named && Contains("ends at byte 8 of the data, which has 4"));
  CHECK_THAT(refusal(entry("F32", "[1]", "[4,8]"), 8), named && Contains("a hole before it"));
  CHECK_THAT(refusal(entry("F32", "[1]", "[0,4]"), 8), Contains("end at byte 4"));
}

TEST_CASE("tensors that overlap or stand twice, and metadata of no strings, are refused",
          "[weights]") {
  const std::string w = R"("w":)" + entry("F32", "[1]", "[0,4]");
  CHECK_THAT(
      refusal(safetensors_of("{" + w + R"(,"v":)" + entry("F32", "[1]", "[2,6]") + "}", "123456")),
      Contains("tensor \"v\"") && Contains("overlaps another"));
  CHECK_THAT(refusal(safetensors_of("{" + w + "," + w + "}", "1234")),
             Contains("\"w\" stands twice"));
  CHECK_THAT(refusal(safetensors_of(R"({"__metadata__":{"a":1},)" + w + "}", "1234")),
             Contains("expected strings in \"__metadata__\""));
  CHECK_THAT(refusal(safetensors_of(R"({"__metadata__":[],)" + w + "}", "1234")),
             Contains("expected strings in \"__metadata__\""));
}

TEST_CASE("all wrong entries are reported together", "[weights]") {
  const std::string bad = entry("F9", "[1]", "[0,4]");
  CHECK_THAT(refusal(safetensors_of(R"({"v":)" + bad + R"(,"w":)" + bad + "}", "")),
             Contains("tensor \"v\"") && Contains("tensor \"w\""));
}

TEST_CASE("what cannot be written is refused, and the old file stays", "[weights]") {
  const TempDir folder;
  const auto file = folder / "a.safetensors";
  const torch::Tensor w = torch::ones({1});
  write_safetensors(file, {{"w", w}});
  const auto refused = [&](const NamedTensors& tensors) {
    return error_of([&] { write_safetensors(file, tensors); });
  };
  CHECK_THAT(refused({{"w", w}, {"w", w}}), Contains("\"w\" is given twice"));
  CHECK_THAT(refused({{"__metadata__", w}}), Contains("\"__metadata__\" is given twice"));
  CHECK_THAT(refused({{"w", {}}}), Contains("\"w\" has no value"));
  CHECK_THAT(refused({{"w", w.to(torch::kComplexFloat)}}), Contains("ComplexFloat"));
  CHECK_THAT(refused({{"\xff", w}}), Contains("not UTF-8"));
  CHECK(torch::equal(open_weights(file)->read("w"), w));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a file that cannot be written whole is an error naming it", "[weights]") {
  const TempDir folder;
  CHECK_THAT(error_of([&] { write_safetensors(folder / "no/a.safetensors", {}); }),
             Contains("no/a.safetensors") && Contains("cannot open"));
  // A device that is always full stands in for a full disk.
  std::filesystem::create_symlink("/dev/full", folder / "b.safetensors.partial");
  CHECK_THAT(error_of([&] {
               write_safetensors(folder / "b.safetensors", {{"w", torch::ones({1000})}});
             }),
             Contains("b.safetensors") && Contains("cannot write"));
  CHECK_FALSE(std::filesystem::exists(folder / "b.safetensors"));
}

TEST_CASE("no damaged byte of a safetensors file does more than throw an Error", "[weights]") {
  const TempDir folder;
  const std::string whole = read_file(golden_path("formats/plain.safetensors"));
  size_t tried = 0, refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    write_file_in_place(folder / "a.safetensors", bytes);
    ++tried;
    try {
      const auto file = open_weights(folder / "a.safetensors");
      for (const auto& info : file->tensors()) file->read(info.name).sum().item<double>();
    } catch (const Error&) {
      ++refused;
    }
  };
  const size_t header = whole.find('}', whole.rfind("data_offsets")) + 2;
  for (size_t i = 0; i < header; ++i) {
    for (const char with : {'0', '9', '\xff'}) {
      std::string bytes = whole;
      if (bytes[i] == with) continue;
      bytes[i] = with;
      attempt(bytes);
    }
  }
  for (size_t length = 0; length < whole.size(); length += 7) attempt(whole.substr(0, length));
  CHECK(tried > 3000);
  CHECK(refused > tried / 2);
}
