#include <cmath>

#include "lib/backend/end_ops.h"
#include "tests/backend/compare.h"

using namespace mtlora;
using namespace mtlora::test;

namespace {

Tensor numbers(std::vector<int64_t> values) {
  return at::tensor(values, at::kLong);
}

const Tensor kWords = numbers({3, 0, 9, 9, 2, 5, 1});
const Tensor kPositions = numbers({0, 1, 2, 0, 1, 2, 3});
const Tensor kSegments = numbers({0, 0, 1, 0, 1, 1, 0});

/// in: tables of words, positions and segments, gamma, beta.
struct Embedding {
  size_t tables;
  double p;
  Tensor operator()(const std::vector<Tensor>& in) const {
    const at::Device device = in[0].device();
    const std::vector<backend::Lookup> all{{in[0], kWords.to(device)},
                                           {in[1], kPositions.to(device), 2},
                                           {in[2], kSegments.to(device)}};
    return backend::embed({all.begin(), all.begin() + static_cast<ptrdiff_t>(tables)},
                          {in[3], in[4], 1e-5}, {p, 5, identities(7)});
  }
};

std::vector<Tensor> embedding_inputs(int64_t width, size_t tables, bool trained) {
  std::vector<Tensor> all{normal({10, width}, 1), normal({6, width}, 2), normal({2, width}, 3),
                          normal({width}, 4) * 0.1 + 1, normal({width}, 5)};
  for (size_t i = 0; i < all.size(); ++i) all[i].requires_grad_(trained && (i < tables || i > 2));
  return all;
}

Tensor labels_of(int64_t rows, int64_t classes) {
  return at::arange(rows, at::kLong).remainder(classes);
}

}  // namespace

TEST_CASE("embeddings have the plain path's values and gradients", "[backend]") {
  for (const int64_t width : {16, 100, 768})
    for (const size_t tables : {1, 2, 3})
      for (const double p : {0.0, 0.1})
        for (const bool trained : {false, true}) {
          CAPTURE(width, tables, p, trained);
          compare_both(embedding_inputs(width, tables, trained), Embedding{tables, p}, {3, 4});
        }
}

TEST_CASE("cross-entropy has the plain path's values and gradients", "[backend]") {
  for (const auto& [rows, classes] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1}, {1, 2}, {7, 3}, {32, 2}, {300, 5}, {9, 1000}})
    for (const double smoothing : {0.0, 0.1}) {
      CAPTURE(rows, classes, smoothing);
      compare_both({(normal({rows, classes}, 1) * 3).requires_grad_()},
                   [&, rows = rows, classes = classes](const std::vector<Tensor>& in) {
                     const Tensor labels = labels_of(rows, classes).to(in[0].device());
                     return backend::cross_entropy(in[0], labels, smoothing).reshape({1, 1});
                   });
    }
}

TEST_CASE("cross-entropy is right where an answer is sure, or there is none", "[backend]") {
  for (const at::Device device : devices()) {
    CAPTURE(device);
    const auto results = [&](const Tensor& logits) {
      const Tensor x = logits.to(device).requires_grad_();
      const Tensor labels = labels_of(x.size(0), 2).to(device);
      const Tensor loss = backend::cross_entropy(x, labels, 0);
      return std::pair(loss.item<double>(), torch::autograd::grad({loss}, {x})[0].cpu());
    };
    const auto of_row = [&](float a, float b) {
      return results(at::tensor({a, b}).reshape({1, 2}));
    };
    CHECK(of_row(1e4F, -1e4F).first == 0);
    CHECK(of_row(-1e4F, 1e4F).first == 2e4);
    CHECK(at::equal(of_row(-1e4F, 1e4F).second, at::tensor({-1.0F, 1.0F}).reshape({1, 2})));
    CHECK(of_row(12, 0).first == Approx(std::log1p(std::exp(-12.0))).epsilon(0.02));
    CHECK(results(at::empty({0, 2})).first == 0);
  }
}

TEST_CASE("a label that is no class is not passed over", "[backend]") {
  for (const at::Device device : devices()) {
    for (const int64_t label : {int64_t{-100}, int64_t{-1}, int64_t{2}}) {
      CAPTURE(device, label);
      const Tensor x = normal({1, 2}, 1).to(device), labels = at::full({1}, label, at::kLong);
      if (device.is_cpu() && !is_emulated())
        CHECK_THROWS_AS(backend::cross_entropy(x, labels, 0), c10::Error);
      else
        CHECK(std::isnan(backend::cross_entropy(x, labels.to(device), 0).item<double>()));
    }
  }
}
