#include "lib/weights/weight_file.h"

#include "lib/weights/safetensors.h"
#include "tests/support/golden.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

namespace {

std::string refusal(const std::filesystem::path& path) {
  return error_of([&] { open_weights(path); });
}

constexpr const char* kIndex = "model.safetensors.index.json";

}  // namespace

TEST_CASE("a folder without weights says what was looked for, and what is there", "[weights]") {
  const TempDir folder;
  const std::string looked =
      folder.path().string() +
      ": no weights there: looked for model.safetensors, model.safetensors.index.json, "
      "pytorch_model.bin, pytorch_model.bin.index.json";
  CHECK_THAT(refusal(folder.path()),
             Contains(looked + "; a model's page on https://huggingface.co"));
  write_file(folder / "tf_model.h5", "");
  CHECK_THAT(refusal(folder.path()), Contains(looked + " (there is tf_model.h5); a model's page"));
  CHECK_THAT(refusal(folder / "absent"), Contains("no such file or folder"));
}

TEST_CASE("a file is known by what it begins with", "[weights]") {
  const TempDir folder;
  write_safetensors(folder / "anything", {{"w", torch::ones({1})}});
  CHECK(open_weights(folder / "anything")->has("w"));
  CHECK_FALSE(open_weights(folder / "anything")->has("v"));
  // the length of a header, 640, begins as a pickle does
  const std::string header =
      fmt::format("{:<640}", R"({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}})");
  write_file(folder / "adapter", safetensors_of(header, little(0, 4)));
  CHECK(open_weights(folder / "adapter")->has("w"));
  write_file(folder / "pointer.safetensors", "version https://git-lfs.github.com/spec/v1\noid");
  CHECK_THAT(refusal(folder / "pointer.safetensors"), Contains("git lfs pull"));
  write_file(folder / "text", "hello");
  CHECK_THAT(refusal(folder / "text"),
             Contains("neither a safetensors file, nor a zip file of torch.save, nor a GGUF file"));
}

TEST_CASE("safetensors go before a file of torch.save in one folder", "[weights]") {
  const TempDir folder;
  std::filesystem::copy(golden_path("formats/ordered.bin"), folder / "pytorch_model.bin");
  CHECK(open_weights(folder.path())->path() == folder / "pytorch_model.bin");
  write_safetensors(folder / "model.safetensors", {{"w", torch::ones({1})}});
  CHECK(open_weights(folder.path())->path() == folder / "model.safetensors");
}

TEST_CASE("several files of weights are read as one", "[weights]") {
  const auto file = open_weights(golden_path("formats/sharded"));
  const auto plain = golden("formats/plain.safetensors");
  REQUIRE(file->tensors().size() == 4);
  for (const auto& info : file->tensors()) {
    CAPTURE(info.name);
    CHECK(torch::equal(file->read(info.name), plain.at(info.name)));
  }
}

TEST_CASE("an index that does not fit its files is refused", "[weights]") {
  const TempDir folder;
  const auto refused = [&](const std::string& weight_map) {
    write_file(folder / kIndex, R"({"weight_map": )" + weight_map + "}");
    const std::string message = refusal(folder.path());
    CHECK_THAT(message, Contains(kIndex));
    return message;
  };
  CHECK_THAT(refused(R"({"w": "a.safetensors", "v": "b.safetensors"})"),
             Contains("2 of its 2 files are missing") && Contains("a.safetensors") &&
                 Contains("b.safetensors"));
  write_safetensors(folder / "a.safetensors", {{"w", torch::ones({1})}, {"x", torch::ones({1})}});
  CHECK_THAT(refused(R"({"w": "a.safetensors"})"),
             Contains("a.safetensors holds 2 tensors, the index lists 1"));
  CHECK_THAT(refused(R"({"v": "a.safetensors", "w": "a.safetensors"})"),
             Contains("a.safetensors lacks \"v\""));
  write_safetensors(folder / "b.safetensors", {{"w", torch::ones({1})}});
  CHECK_THAT(refused(R"({"w": "a.safetensors", "x": "a.safetensors", "v": "b.safetensors"})"),
             Contains("b.safetensors lacks \"v\""));
  for (const char* outside : {R"("../a.safetensors")", R"("/a")", R"("..")", R"("")", "3",
                              R"("model.safetensors.index.json")"})
    CHECK_THAT(refused(std::string(R"({"w": )") + outside + "}"),
               Contains("expected the name of a file of weights beside it"));
  CHECK_THAT(refused("{}"), Contains("is empty"));
  CHECK_THAT(refused("[]"), Contains("expected an object"));
}

TEST_CASE("every golden model opens, and its file names each tensor once", "[weights]") {
  size_t models = 0;
  for (const auto& entry : std::filesystem::directory_iterator(golden_path("")))
    if (std::filesystem::exists(entry.path() / "model.safetensors")) {
      ++models;
      CHECK(open_weights(entry.path())->tensors().size() >= 20);
    }
  CHECK(models == 13);
}
