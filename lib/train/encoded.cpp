#include "lib/train/encoded.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <thread>

namespace mtlora {
namespace {

// What one thread makes of its run of examples.
struct Share {
  std::vector<int32_t> ids, segments;
  std::vector<int64_t> lengths;
  int64_t truncated = 0;
  std::exception_ptr error;
};

void encode_share(std::span<const Example> examples, bool has_pair, const Tokenizer& tokenizer,
                  size_t max_length, Share& share) {
  try {
    for (const Example& example : examples) {
      const Encoding e = has_pair
                             ? encode_pair(tokenizer, example.text, example.text_pair, max_length)
                             : encode(tokenizer, example.text, max_length);
      share.ids.insert(share.ids.end(), e.ids.begin(), e.ids.end());
      share.segments.insert(share.segments.end(), e.segments.begin(), e.segments.end());
      share.lengths.push_back(static_cast<int64_t>(e.ids.size()));
      share.truncated += e.dropped_tokens > 0;
    }
  } catch (...) {
    share.error = std::current_exception();
  }
}

}  // namespace

EncodedSet::EncodedSet(const std::vector<EncodedExample>& examples) {
  for (const EncodedExample& example : examples) {
    TORCH_INTERNAL_ASSERT(example.ids.size() == example.segments.size(), "a segment for each id");
    ids_.insert(ids_.end(), example.ids.begin(), example.ids.end());
    segments_.insert(segments_.end(), example.segments.begin(), example.segments.end());
    begin_.push_back(static_cast<int64_t>(ids_.size()));
    labels_.push_back(example.label);
  }
}

EncodedSet::EncodedSet(const Dataset& data, bool has_pair, const Tokenizer& tokenizer,
                       const EncodeOptions& options) {
  const std::span<const Example> examples(data.examples);
  const size_t threads =
      std::clamp<size_t>(examples.size() / 256, 1, at(std::max(1, options.threads)));
  std::vector<Share> shares(threads);
  std::vector<std::thread> workers;
  for (size_t t = 0; t < threads; ++t) {
    const size_t begin = examples.size() * t / threads, end = examples.size() * (t + 1) / threads;
    workers.emplace_back([&, t, begin, end] {
      encode_share(examples.subspan(begin, end - begin), has_pair, tokenizer,
                   at(options.max_length), shares[t]);
    });
  }
  for (std::thread& worker : workers) worker.join();
  for (const Share& share : shares) {
    if (share.error) std::rethrow_exception(share.error);
    ids_.insert(ids_.end(), share.ids.begin(), share.ids.end());
    segments_.insert(segments_.end(), share.segments.begin(), share.segments.end());
    for (const int64_t length : share.lengths) begin_.push_back(begin_.back() + length);
    truncated_ += share.truncated;
  }
  for (const Example& example : examples) labels_.push_back(example.label);
}

}  // namespace mtlora
