#include "lib/weights/torch_pickle.h"

#include "tests/support/golden.h"
#include "tests/weights/files.h"

using namespace mtlora;
using namespace mtlora::test;
using Catch::Matchers::Contains;

TEST_CASE("what torch.save wrote is read like the same in safetensors", "[weights]") {
  const auto want = golden("formats/plain.safetensors");
  REQUIRE(want.size() == 17);
  const std::string name =
      GENERATE("ordered.bin", "parameters.bin", "protocol4.bin", "deflated.bin");
  CAPTURE(name);
  const auto file = open_weights(golden_path("formats/" + name));
  CHECK(file->tensors().size() == want.size());
  CHECK(file->tensors().front().name == "f64");
  for (const auto& [tensor, value] : want) {
    CAPTURE(tensor);
    const torch::Tensor got = file->read(tensor);
    CHECK(got.scalar_type() == value.scalar_type());
    CHECK(torch::equal(got, value));
  }
}

TEST_CASE("tensors of one storage are copies that do not keep each other alive", "[weights]") {
  const auto file = open_weights(golden_path("formats/ordered.bin"));
  const torch::Tensor grid = file->read("grid"), row = file->read("row");
  CHECK(torch::equal(grid[2], row));
  grid.zero_();
  CHECK(row.abs().sum().item<float>() > 0);
  CHECK(file->read("grid").abs().sum().item<float>() > 0);
  CHECK(file->read("transposed").is_contiguous());
  CHECK(row.storage().nbytes() == 8 * sizeof(float));
}

TEST_CASE("a module's state_dict is read, its attributes left out", "[weights]") {
  const auto file = open_weights(golden_path("formats/module.bin"));
  REQUIRE(file->tensors().size() == 2);
  CHECK(torch::equal(file->read("weight"), torch::eye(2)));
  CHECK(torch::equal(file->read("bias"), torch::zeros({2})));
}

TEST_CASE("a checkpoint around the state_dict is refused with what it holds", "[weights]") {
  CHECK_THAT(error_of([] { open_weights(golden_path("formats/nested.bin")); }),
             Contains("nested.bin") && Contains("state_dict (a dictionary), epoch (an integer)"));
}

TEST_CASE("the format from before PyTorch 1.6 is refused with the way to convert it", "[weights]") {
  CHECK_THAT(error_of([] { open_weights(golden_path("formats/old.bin")); }),
             Contains("before PyTorch 1.6") && Contains("safetensors.torch.save_file"));
}

TEST_CASE("no damaged byte of a torch.save file does more than throw an Error", "[weights]") {
  const TempDir folder;
  const std::string name = GENERATE("module.bin", "deflated.bin");
  const std::string whole = read_file(golden_path("formats/" + name));
  size_t tried = 0, refused = 0;
  const auto attempt = [&](const std::string& bytes) {
    write_file_in_place(folder / "a.bin", bytes);
    ++tried;
    try {
      const auto file = open_weights(folder / "a.bin");
      for (const auto& info : file->tensors()) file->read(info.name).sum().item<double>();
    } catch (const Error&) {
      ++refused;
    }
  };
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int flip : {1, 0xff}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ flip);
      attempt(bytes);
    }
  }
  for (size_t length = 0; length < whole.size(); length += 7) attempt(whole.substr(0, length));
  CHECK(tried > 3000);
  CHECK(refused > tried / 4);
}
