#include "lib/weights/pickle.h"

#include "lib/weights/weight_file.h"
#include "tests/support/golden.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

// Pieces of a pickle, protocol 2.
std::string text(const std::string& s) {
  return "X" + little(s.size(), 4) + s;
}
std::string number(int64_t n) {
  return "\x8a\x08" + little(static_cast<uint64_t>(n), 8);
}
std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const auto& item : items) all += item;
  return all + "t";
}
std::string numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(number(value));
  return tuple(items);
}
std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
std::string storage(const std::string& key, int64_t count, const std::string& type = "Float") {
  return tuple({text("storage"), global("torch", type + "Storage"), text(key), text("cpu"),
                number(count)}) +
         "Q";
}
std::string tensor(const std::string& from, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({from, number(offset), numbers(shape), numbers(strides), "\x89", "N"}) + "R";
}
std::string pickle_of(const std::string& value) {
  return "\x80\x02" + value + ".";
}
std::string holding(const std::string& value) {
  return pickle_of("}" + text("w") + value + "s");
}

std::string refusal(const std::string& bytes) {
  return error_of([&] { pickle::parse(bytes, "a.bin"); });
}

// torch.save's archive around a pickle and one storage of 6 floats 0 … 5, more entries or others.
std::vector<std::pair<std::string, std::string>> entries(const std::string& bytes) {
  std::string data;
  for (int i = 0; i < 6; ++i) data += little(std::bit_cast<uint32_t>(static_cast<float>(i)), 4);
  return {{"a/data.pkl", bytes}, {"a/byteorder", "little"}, {"a/data/0", data}};
}

std::string archive_refusal(const std::vector<std::pair<std::string, std::string>>& files) {
  const TempDir folder;
  write_file(folder / "pytorch_model.bin", zip_of(files));
  const std::string message = error_of([&] { open_weights(folder.path()); });
  CHECK_THAT(message, Contains("pytorch_model.bin"));
  return message;
}
std::string tensor_refusal(const std::string& value) {
  const std::string message = archive_refusal(entries(holding(value)));
  CHECK_THAT(message, Contains("tensor \"w\""));
  return message;
}

}  // namespace

TEST_CASE("a tensor built byte by byte is read through its strides", "[weights]") {
  const TempDir folder;
  const auto read = [&](const std::string& value) {
    write_file(folder / "pytorch_model.bin", zip_of(entries(holding(value))));
    return open_weights(folder.path())->read("w");
  };
  CHECK(torch::equal(read(tensor(storage("0", 6), 0, {2, 3}, {3, 1})),
                     torch::arange(6.).view({2, 3})));
  CHECK(torch::equal(read(tensor(storage("0", 6), 1, {2}, {3})), torch::tensor({1.f, 4.f})));
  CHECK(torch::equal(read(tensor(storage("0", 6), 5, {}, {})), torch::tensor(5.f)));
  CHECK(read(tensor(storage("0", 6), 6, {0, 4}, {4, 1})).sizes() == at::IntArrayRef{0, 4});
}

TEST_CASE("a pickle that asks for code is refused by name, and nothing runs", "[weights]") {
  const TempDir folder;
  const std::string mark = folder / "ran";
  const auto refused = Contains("it was not run");
  CHECK_THAT(refusal(holding(global("posix", "system") + tuple({text("touch " + mark)}) + "R")),
             refused && Contains("\"posix system\"") && Contains("a.bin"));
  CHECK_THAT(refusal(holding(global("builtins", "eval") + tuple({text("1")}) + "R")),
             refused && Contains("\"builtins eval\""));
  CHECK_THAT(refusal(pickle_of(text("os") + text("system") + "\x93")),
             refused && Contains("\"os system\""));
  CHECK_THAT(refusal(pickle_of(global("torch._utils", "_rebuild_tensor"))), refused);
  CHECK_THAT(refusal(pickle_of(global("torch", "FloatStorage.__init__"))), refused);
  CHECK_THAT(refusal(pickle_of("(" + global("os", "system") + "o")), refused);
  CHECK_THAT(error_of([] { open_weights(golden_path("formats/system.bin")); }),
             refused && Contains("system\"") && Contains("system.bin"));
  CHECK_THAT(error_of([] { open_weights(golden_path("formats/eval.bin")); }),
             refused && Contains("\"builtins eval\""));
  CHECK_FALSE(std::filesystem::exists(mark));
}

TEST_CASE("calls, attributes and opcodes that no state_dict needs are refused", "[weights]") {
  const std::string ordered = global("collections", "OrderedDict");
  CHECK(refusal(pickle_of(ordered + ")R}b")).empty());
  CHECK_THAT(refusal(pickle_of("}}b")), Contains("attributes of a plain dictionary"));
  CHECK_THAT(refusal(pickle_of(ordered + tuple({number(1)}) + "R")), Contains("OrderedDict"));
  CHECK_THAT(refusal(pickle_of(global("torch._utils", "_rebuild_tensor_v2") + ")R")),
             Contains("_rebuild_tensor_v2"));
  CHECK_THAT(refusal(pickle_of(global("torch._utils", "_rebuild_parameter") +
                               tuple({"N", "N", "N"}) + "R")),
             Contains("_rebuild_parameter"));
  CHECK_THAT(refusal(pickle_of(global("torch", "FloatStorage") + ")R")), Contains("FloatStorage"));
  CHECK_THAT(refusal(pickle_of(text("f") + ")R")), Contains("a call of a string"));
  CHECK_THAT(refusal(pickle_of(ordered + ")\x81")), Contains("opcode 0x81"));
  CHECK_THAT(refusal(pickle_of("N(")), Contains("nothing is on the stack"));
}

TEST_CASE("a pickle that is cut off or malformed is refused", "[weights]") {
  const std::string whole = holding(tensor(storage("0", 6), 0, {2, 3}, {3, 1}));
  REQUIRE(refusal(whole).empty());
  for (size_t length = 0; length < whole.size(); ++length)
    CHECK_FALSE(refusal(whole.substr(0, length)).empty());
  CHECK_THAT(refusal("\x80\x06."), Contains("pickle protocol 6"));
  CHECK(refusal("\x80\x05}.").empty());
  CHECK_THAT(refusal("\x80\x05\x97."), Contains("0x97"));  // NEXT_BUFFER
  CHECK_THAT(refusal("\x80\x02s."), Contains("too little is on the stack"));
  CHECK_THAT(refusal("\x80\x02t."), Contains("no mark is on the stack"));
  CHECK_THAT(refusal(std::string("\x80\x02h\0.", 5)), Contains("nothing was noted as 0"));
  CHECK_THAT(refusal("\x80\x02}(Nu."), Contains("a key without a value"));
  CHECK_THAT(refusal("\x80\x02NNNs."), Contains("expected a dictionary, found None"));
  CHECK_THAT(refusal("\x80\x02N(\x85."), Contains("too little is on the stack"));
  CHECK_THAT(refusal("\x80\x02X\xff\xff\xff\xff."), Contains("cut off"));
  CHECK_THAT(refusal("\x80\x02\x8a\x09"
                     "123456789."),
             Contains("an integer of 9 bytes"));
  CHECK_THAT(refusal("\x80\x02NQ."), Contains("expected (\"storage\""));
  CHECK(pickle::parse(std::string("\x80\x02J\xfe\xff\xff\xff.", 8), "a").root->number == -2);
}

TEST_CASE("values that contain themselves, or are deep, are no trouble", "[weights]") {
  CHECK(pickle::parse(std::string("\x80\x02]q\0h\0a.", 9), "a").root->items.size() == 1);
  CHECK_THAT(archive_refusal(entries(pickle_of(std::string(1'000'000, '\x85').insert(0, "N")))),
             Contains("found a tuple"));
}

TEST_CASE("a tensor outside its storage is refused", "[weights]") {
  const std::string six = storage("0", 6);
  constexpr int64_t kMost = INT64_MAX;
  const auto leaves = Contains("leaves its storage of 6 elements");
  CHECK_THAT(tensor_refusal(tensor(six, 0, {7}, {1})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 1, {2, 3}, {3, 1})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 6, {}, {})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 7, {0}, {1})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 0, {2}, {kMost})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, kMost, {2}, {1})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, kMost, {}, {})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 2, {3}, {kMost})), leaves);
  CHECK_THAT(tensor_refusal(tensor(six, 0, {kMost, kMost}, {0, 0})), Contains("too large"));
  CHECK_THAT(tensor_refusal(tensor(six, 0, {-1}, {1})), Contains("its shape holds -1"));
  CHECK_THAT(tensor_refusal(tensor(six, 0, {2}, {-1})), Contains("its strides holds -1"));
  CHECK_THAT(tensor_refusal(tensor(six, -1, {2}, {1})), Contains("its offset is no count"));
  CHECK_THAT(tensor_refusal(tensor(six, 0, {2, 3}, {1})), Contains("2 sizes, but 1 strides"));
  CHECK_THAT(tensor_refusal(tensor("N", 0, {2}, {1})), Contains("its storage is None"));
}

TEST_CASE("a storage that is missing, of another size or described in two ways is refused",
          "[weights]") {
  CHECK_THAT(tensor_refusal(tensor(storage("1", 6), 0, {2}, {1})),
             Contains("\"a/data/1\" is missing"));
  CHECK_THAT(tensor_refusal(tensor(storage("../0", 6), 0, {2}, {1})), Contains("is missing"));
  CHECK_THAT(tensor_refusal(tensor(storage("0", 7), 0, {2}, {1})),
             Contains("has 24 bytes, expected 7 of Float"));
  CHECK_THAT(tensor_refusal(tensor(storage("0", 6, "Long"), 0, {2}, {1})),
             Contains("has 24 bytes"));
  CHECK_THAT(tensor_refusal(tensor(storage("0", INT64_MAX), 0, {2}, {1})),
             Contains("has 24 bytes"));
  CHECK_THAT(tensor_refusal(tensor(storage("0", -1), 0, {0}, {1})), Contains("leaves its storage"));
  const std::string two = "}" + text("v") + tensor(storage("0", 6), 0, {2}, {1}) + "s" + text("w") +
                          tensor(storage("0", 3, "Double"), 0, {2}, {1}) + "s";
  CHECK_THAT(archive_refusal(entries(pickle_of(two))),
             Contains("tensor \"w\"") && Contains("described in two ways"));
}

TEST_CASE("an archive that torch.save did not write, or on another machine, is refused",
          "[weights]") {
  const std::string good = holding(tensor(storage("0", 6), 0, {2}, {1}));
  auto files = entries(good);
  files[1].second = "big";
  CHECK_THAT(archive_refusal(files), Contains("its byte order is \"big\", expected \"little\""));
  CHECK_THAT(archive_refusal({{"readme", ""}}), Contains("0 entries \"data.pkl\""));
  files = entries(good);
  files.emplace_back("b/data.pkl", good);
  CHECK_THAT(archive_refusal(files), Contains("2 entries \"data.pkl\""));
  files[3].first = "a/constants.pkl";
  CHECK_THAT(archive_refusal(files), Contains("TorchScript"));
  CHECK_THAT(archive_refusal(entries(pickle_of("]"))), Contains("found a list"));
  const std::string twice = "}" + text("w") + tensor(storage("0", 6), 0, {2}, {1}) + "s" +
                            text("w") + tensor(storage("0", 6), 0, {2}, {1}) + "s";
  CHECK_THAT(archive_refusal(entries(pickle_of(twice))), Contains("stands there twice"));
}
