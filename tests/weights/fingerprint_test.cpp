#include "lib/weights/fingerprint.h"

#include <map>
#include <set>

#include "tests/support/test.h"

using namespace mtlora;

namespace {

std::string fingerprint(const std::map<std::string, torch::Tensor>& tensors) {
  Fingerprint of_all;
  for (const auto& [name, tensor] : tensors) of_all.add(name, tensor);
  return of_all.text();
}

}  // namespace

TEST_CASE("a fingerprint is 32 digits that stay the same from version to version", "[weights]") {
  CHECK(fingerprint({}) == "00000000000000000000000000000000");
  CHECK(fingerprint({{"w", torch::arange(100, torch::kFloat)}}) ==
        "09cef50d313897aedc66de152b47271e");
}

TEST_CASE("a fingerprint does not depend on strides or who holds the values", "[weights]") {
  const torch::Tensor a = torch::randn({4, 3}), b = torch::randn({7});
  const std::string want = fingerprint({{"a", a}, {"b", b}});
  CHECK(fingerprint({{"a", a.t().contiguous().t()}, {"b", b.clone().requires_grad_()}}) == want);
}

TEST_CASE("names, types and shapes are part of a fingerprint", "[weights]") {
  const torch::Tensor zeros = torch::zeros({2, 3});
  const std::set<std::string> all{fingerprint({}),
                                  fingerprint({{"w", zeros}}),
                                  fingerprint({{"v", zeros}}),
                                  fingerprint({{"", zeros}}),
                                  fingerprint({{"w", zeros.view({3, 2})}}),
                                  fingerprint({{"w", zeros.view({6})}}),
                                  fingerprint({{"w", zeros.to(torch::kInt)}}),
                                  fingerprint({{"w", torch::zeros({2, 0})}}),
                                  fingerprint({{"w", torch::zeros({0, 2})}}),
                                  fingerprint({{"w", zeros}, {"v", zeros}}),
                                  fingerprint({{"w", zeros}, {"w2", zeros}})};
  CHECK(all.size() == 11);
}

TEST_CASE("every bit of every byte, and every swap of words, changes both halves", "[weights]") {
  std::set<std::string> high, low;
  size_t count = 0;
  const auto add = [&](const torch::Tensor& t) {
    const std::string found = fingerprint({{"w", t}});
    high.insert(found.substr(0, 16));
    low.insert(found.substr(16));
    ++count;
  };
  const torch::Tensor base = torch::arange(77, torch::kByte);
  add(base);
  for (int64_t i = 0; i < base.numel(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      torch::Tensor flipped = base.clone();
      flipped[i] = base[i].item<uint8_t>() ^ (1 << bit);
      add(flipped);
    }
  const torch::Tensor words = torch::arange(1, 13, torch::kLong);
  add(words.view(torch::kByte));
  for (int64_t i = 0; i < 12; ++i)
    for (int64_t j = 0; j < i; ++j) {
      torch::Tensor swapped = words.clone();
      swapped[i] = words[j];
      swapped[j] = words[i];
      add(swapped.view(torch::kByte));
    }
  CHECK(count == 1 + 77 * 8 + 1 + 66);
  CHECK(high.size() == count);
  CHECK(low.size() == count);
}
