// The decoders that start_search() chooses from, and what each is started with.
#pragma once

#include "lib/decoding/search.h"

namespace mtlora::decoding {

struct Start {
  const DecodingOptions& options;
  const EndTokens& end;
  int64_t vocab;
  uint64_t prompt_key;
  std::span<const int32_t> prompt_ids;
  /// The reference search without its early end, to compare with.
  bool all_steps = false;
};

std::unique_ptr<Search> reference_beam(const Start& start);
std::unique_ptr<Search> beam(const Start& start);
std::unique_ptr<Search> greedy(const Start& start);
std::unique_ptr<Search> sample(const Start& start);

}  // namespace mtlora::decoding
