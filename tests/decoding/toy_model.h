// The language model of scripts/golden/decoding_scores.py, number for number, and what runs a
// search on a model.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lib/decoding/decoders.h"

namespace mtlora::test {

using Tokens = std::vector<int32_t>;

inline uint32_t mix(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x85EBCA6Bu;
  x = (x ^ (x >> 13)) * 0xC2B2AE35u;
  return x ^ (x >> 16);
}

/// The parameter number `what` of case `seed`.
inline uint32_t number(uint32_t seed, uint32_t what) {
  return mix(mix(seed) + what * 0x9E3779B9u);
}

template <class T>
T pick(uint32_t seed, uint32_t what, const std::vector<T>& values) {
  return values[number(seed, what) % values.size()];
}

/// FNV-1a over tokens.
inline uint32_t checksum(std::span<const int32_t> tokens) {
  uint32_t value = 0x811C9DC5u;
  for (const int32_t token : tokens) value = (value ^ static_cast<uint32_t>(token)) * 0x01000193u;
  return value;
}

struct Toy {
  uint32_t seed;
  int64_t vocab;
  EndTokens end;
  double sharpness;
  int end_bonus;

  /// [vocab] after `tokens`.
  std::vector<float> logits(std::span<const int32_t> tokens) const {
    uint32_t history = number(seed, 100);
    for (const int32_t token : tokens)
      history = mix(history ^ (static_cast<uint32_t>(token) + 0x9E3779B9u));
    const uint32_t row = number(seed, 1000 + static_cast<uint32_t>(tokens.back()));
    std::vector<float> logits;
    for (int32_t j = 0; j < vocab; ++j) {
      const uint32_t column = static_cast<uint32_t>(j) * 0x85EBCA77u;
      const int base = static_cast<int>(mix(row + column) % 8192) - 4096;
      const int jitter = static_cast<int>(mix(history + column) % 512);
      const int bonus = end.contains(j) ? 4 * end_bonus : 0;
      const int units = static_cast<int>(4 * sharpness * base) + 4 * jitter + bonus;
      logits.push_back(static_cast<float>(units) / 4096);
    }
    return logits;
  }
};

/// What a model runs beside a search: the tokens of each row and their logits.
class Rows {
 public:
  Rows(const Toy& toy, Tokens prompt) : toy_(toy), tokens_{std::move(prompt)} {}

  /// One step of the search.
  void step(Search& search) {
    std::vector<std::vector<float>> logits;
    std::vector<const float*> pointers;
    for (const Tokens& row : tokens_) logits.push_back(toy_.logits(row));
    for (const auto& row : logits) pointers.push_back(row.data());
    search.step(pointers);
    std::vector<Tokens> next;
    for (size_t i = 0; i < search.next_tokens().size(); ++i) {
      next.push_back(tokens_.at(static_cast<size_t>(search.parents()[i])));
      next.back().push_back(search.next_tokens()[i]);
    }
    tokens_ = std::move(next);
  }

 private:
  const Toy& toy_;
  std::vector<Tokens> tokens_;
};

/// Runs the search to its end; returns the steps it took.
inline int64_t run(Search& search, const Toy& toy, const Tokens& prompt) {
  Rows rows(toy, prompt);
  int64_t steps = 0;
  for (; !search.done(); ++steps) rows.step(search);
  return steps;
}

}  // namespace mtlora::test
