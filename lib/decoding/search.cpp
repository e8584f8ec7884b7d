#include "lib/decoding/search.h"

#include <stdexcept>
#include <utility>

#include "lib/core/error.h"
#include "lib/decoding/decoders.h"

namespace mtlora {

void Search::step(std::span<const float* const> logits) {
  if (done() || static_cast<int64_t>(logits.size()) != rows_)
    throw std::logic_error(
        fmt::format("a search that wants {} rows was given {}", rows_, logits.size()));
  choose(logits);
}

void Search::go_on(std::vector<int32_t> next_tokens, std::vector<int32_t> parents) {
  rows_ = static_cast<int64_t>(next_tokens.size());
  next_tokens_ = std::move(next_tokens);
  parents_ = std::move(parents);
}

std::unique_ptr<Search> start_search(const DecodingOptions& options, const EndTokens& end,
                                     int64_t vocab, uint64_t prompt_key,
                                     std::span<const int32_t> prompt_ids) {
  if (vocab < 1) fail("a vocabulary of {} tokens leaves nothing to choose from", vocab);
  for (const int32_t id : end.ids)
    if (id < 0 || id >= vocab) fail("the end token {} is not below the {} logits", id, vocab);
  const decoding::Start start{options, end, vocab, prompt_key, prompt_ids};
  if (options.decoder == "reference") return decoding::reference_beam(start);
  if (options.decoder == "beam") return decoding::beam(start);
  if (options.decoder == "greedy") return decoding::greedy(start);
  if (options.decoder == "sample") return decoding::sample(start);
  fail("{}", unknown("decoder", options.decoder, {"reference", "beam", "greedy", "sample"}));
}

}  // namespace mtlora
