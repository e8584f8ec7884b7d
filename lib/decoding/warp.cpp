#include "lib/decoding/warp.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "lib/decoding/sum_exp.h"

namespace mtlora::decoding {
namespace {

double mass(std::span<const Weighted> tokens) {
  double sum = 0;
  for (const Weighted& t : tokens) sum += t.weight;
  return sum;
}

bool is_worse(const Weighted& a, const Weighted& b) {
  return a.scaled != b.scaled ? a.scaled < b.scaled : a.token > b.token;
}

float kth_largest(std::vector<float> values, size_t k) {
  if (k >= values.size()) return -std::numeric_limits<float>::infinity();
  const auto kth = values.begin() + static_cast<std::ptrdiff_t>(k) - 1;
  std::ranges::nth_element(values, kth, std::greater<>());
  return *kth;
}

// The worst token that stays when, from the worst on, all that together weigh at most `droppable`
// go, but not the best. Instead of sorting, halves the part in which the edge lies.
Weighted edge_of(std::vector<Weighted> tokens, double droppable) {
  std::span<Weighted> open(tokens);  // what is before it goes, what is after it stays
  while (open.size() > 1) {
    const size_t half = open.size() / 2;
    std::ranges::nth_element(open, open.begin() + static_cast<std::ptrdiff_t>(half), is_worse);
    const double lower = mass(open.first(half));
    if (lower <= droppable) {
      droppable -= lower;
      open = open.subspan(half);
    } else {
      open = open.first(half);
    }
  }
  const auto left = &open[0] - tokens.data();
  if (&open[0] == &tokens.back() || open[0].weight > droppable) return open[0];
  return *std::min_element(tokens.begin() + left + 1, tokens.end(), is_worse);
}

}  // namespace

std::vector<Weighted> warped(std::span<const float> logits, const DecodingOptions& options) {
  constexpr float none = -std::numeric_limits<float>::infinity();
  std::vector<float> scaled(logits.size()), block_max((logits.size() + kBlock - 1) / kBlock);
  const auto temperature = static_cast<float>(options.temperature);
  std::ranges::transform(logits, scaled.begin(), [&](float x) { return x / temperature; });
  const SumExp all = sum_exp(scaled, block_max);

  float floor = none;
  if (options.top_k > 0)
    floor = kth_largest(scaled, static_cast<size_t>(options.top_k));
  else if (options.top_p < 1)  // even all tokens together may be dropped if none weighs more
    floor = static_cast<float>(
        all.max + std::log((1 - options.top_p) * all.sum / static_cast<double>(logits.size())) -
        1e-4 * (1 + std::abs(all.max)));
  std::vector<Weighted> tokens;
  for (size_t i = 0; i < scaled.size(); ++i)
    if (scaled[i] >= floor && scaled[i] > none)
      tokens.push_back({static_cast<int32_t>(i), scaled[i],
                        std::exp(static_cast<double>(scaled[i]) - static_cast<double>(all.max))});
  if (tokens.empty() || options.top_p == 1) return tokens;

  const double kept = mass(tokens), total = options.top_k > 0 ? kept : all.sum;
  const Weighted edge = edge_of(tokens, kept - options.top_p * total);
  std::erase_if(tokens, [&](const Weighted& t) { return is_worse(t, edge); });
  return tokens;
}

int32_t draw(std::span<const Weighted> tokens, double uniform) {
  const double target = uniform * mass(tokens);
  double sum = 0;
  for (const Weighted& t : tokens)
    if ((sum += t.weight) > target) return t.token;
  return tokens.back().token;
}

}  // namespace mtlora::decoding
