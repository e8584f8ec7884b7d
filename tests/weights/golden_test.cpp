// The comparison that every golden test relies on must itself be able to fail.
#include "tests/support/golden.h"

using namespace mtlora::test;
using Catch::Matchers::Contains;

TEST_CASE("a difference names the worst index, both values and the tolerance", "[weights]") {
  const torch::Tensor want = torch::tensor({{1.f, -4.f}, {2.f, 3.f}});
  torch::Tensor got = want.clone();
  CHECK(difference(got, want, 0).empty());
  got[1][0] = 2.1f;
  CHECK(difference(got, want, 0.03).empty());
  CHECK_THAT(difference(got, want, 0.02),
             Contains("at [1, 0] got 2.0999") && Contains("wanted 2;") && Contains("allowed 0.02"));
  CHECK(difference(got, want, 0.02, 10.).empty());
  CHECK_FALSE(difference(got, want, 0.02, 1.).empty());
}

TEST_CASE("no number, another shape and anything but zeros for zeros are differences",
          "[weights]") {
  const torch::Tensor want = torch::ones({2}), zeros = torch::zeros({2});
  CHECK_FALSE(difference(torch::tensor({1.f, NAN}), want, 1e9).empty());
  CHECK_FALSE(difference(torch::tensor({1.f, INFINITY}), want, 1e9).empty());
  CHECK_FALSE(difference(torch::ones({2, 1}), want, 1e9).empty());
  CHECK_FALSE(difference({}, want, 1e9).empty());
  CHECK_FALSE(difference(torch::tensor({0.f, 1e-30f}), zeros, 1e-5).empty());
  CHECK(difference(zeros.clone(), zeros, 0).empty());
  CHECK(difference(torch::ones({0}), torch::ones({0}), 0).empty());
}

TEST_CASE("the goldens hold what their README says", "[weights]") {
  for (const char* model :
       {"bert-tiny", "bert-tiny-wide", "bert-tiny-regression", "roberta-tiny"}) {
    CAPTURE(model);
    const auto found = golden(std::string(model) + "/golden.safetensors");
    const auto file = mtlora::open_weights(golden_path(model));
    CHECK(found.at("ids").numel() == 44);
    CHECK(found.at("lengths").sum().item<int64_t>() == 44);
    CHECK(found.at("train.losses").numel() == 10);
    for (const auto& info : file->tensors()) CHECK(found.count("grad/" + info.name) == 1);
  }
  for (const char* model : {"bert-tiny-wide", "roberta-tiny"})
    for (const char* variant :
         {"lora", "rslora", "bitfit", "shim", "icfm", "ctcm", "dtsm", "icfm-4"})
      CHECK(golden(std::string(model) + "/" + variant + ".safetensors").count("logits") == 1);
}
