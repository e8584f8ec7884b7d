#include "lib/train/encoded.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <numeric>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/core/threads.h"
#include "lib/data/shown_text.h"

namespace mtlora {

// What one thread makes of its run of examples.
struct EncodedShare {
  std::vector<int32_t> ids, segments;
  std::vector<int64_t> lengths;
  int64_t truncated = 0;
  std::vector<std::string> problems;  // of the examples that are left out for them
  std::exception_ptr error;
};

namespace {

using Share = EncodedShare;

void append(const Encoding& e, Share& share) {
  share.ids.insert(share.ids.end(), e.ids.begin(), e.ids.end());
  share.segments.insert(share.segments.end(), e.segments.begin(), e.segments.end());
  share.lengths.push_back(static_cast<int64_t>(e.ids.size()));
  share.truncated += e.dropped_tokens > 0;
}

Problems problems_of(const std::vector<Share>& shares) {
  Problems problems;
  for (const Share& share : shares)
    for (const std::string& problem : share.problems) problems.add(problem);
  return problems;
}

// Encodes the `count` examples of a split on several threads, each a run of neighbours; shares are
// in order. An example for which `encode` throws an Error is a problem, which says its `place`.
template <class Encode, class Place>
std::vector<Share> in_shares(size_t count, int wanted_threads, const Encode& encode,
                             const Place& place) {
  const size_t most = static_cast<size_t>(std::max(1, wanted_threads));
  const size_t threads = std::clamp<size_t>(count / 256, 1, most);
  std::vector<Share> shares(threads);
  start_threads(threads, [&](size_t t) {
    const size_t begin = count * t / threads, end = count * (t + 1) / threads;
    const auto append_one = [&](size_t i) {
      try {
        append(encode(i), shares[t]);
      } catch (const Error& e) {
        shares[t].problems.push_back(fmt::format("  {}: {}", place(i), e.what()));
      }
    };
    try {
      for (size_t i = begin; i < end; ++i) append_one(i);
    } catch (...) {
      shares[t].error = std::current_exception();
    }
  }).clear();  // when all have ended
  for (const Share& share : shares)
    if (share.error) std::rethrow_exception(share.error);
  return shares;
}

Encoding encode_text(const Tokenizer& tokenizer, const TextFrame& frame, const TextPair& pair,
                     size_t max_length) {
  Encoding e;
  e.ids = prompt_ids(tokenizer, frame, pair.context, std::numeric_limits<int64_t>::max()).ids;
  if (e.ids.size() >= max_length)
    fail("a context of {} tokens leaves no room for its text in {} tokens: \"{}\"", e.ids.size(),
         max_length, shown_text(pair.context));
  e.segments.assign(e.ids.size(), 0);
  tokenizer.tokenize(" " + pair.completion, e.ids);
  e.ids.push_back(frame.end);
  e.segments.resize(e.ids.size(), 1);
  if (e.ids.size() > max_length) e.dropped_tokens = e.ids.size() - max_length;
  e.ids.resize(e.ids.size() - e.dropped_tokens);
  e.segments.resize(e.ids.size());
  return e;
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
  count_targets();
}

EncodedSet::EncodedSet(const TextData& data, const Tokenizer& tokenizer,
                       const EncodeOptions& options) {
  const TextFrame frame = text_frame(tokenizer);
  const size_t count = data.pairs.size();
  const std::vector<Share> shares = in_shares(
      count, options.threads,
      [&](size_t i) {
        return encode_text(tokenizer, frame, data.pairs[i], at(options.max_length));
      },
      [&](size_t i) { return data.place_of(data.pairs[i]); });
  take(shares);
  leave_out(problems_of(shares), data.split, count, options);
  labels_.assign(count - at(overlong_), 0);
  count_targets();
}

EncodedSet::EncodedSet(const Dataset& data, bool has_pair, const Tokenizer& tokenizer,
                       const EncodeOptions& options) {
  const std::vector<Share> shares = in_shares(
      data.examples.size(), options.threads,
      [&](size_t i) {
        const Example& example = data.examples[i];
        return has_pair
                   ? encode_pair(tokenizer, example.text, example.text_pair, at(options.max_length))
                   : encode(tokenizer, example.text, at(options.max_length));
      },
      [&](size_t i) { return fmt::format("example {}", i + 1); });
  const Problems problems = problems_of(shares);
  problems.raise(fmt::format("{}: {} of {} examples cannot be used:", data.split, problems.count(),
                             data.examples.size()));
  take(shares);
  for (const Example& example : data.examples) labels_.push_back(example.label);
}

std::string EncodedSet::hash() const {
  const auto key = [](const auto& numbers) {
    return name_key(
        {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(numbers[0])});
  };
  return fmt::format("{:016x}", combine(combine(key(ids_), key(segments_)), key(begin_)));
}

EncodedSet EncodedSet::first(int64_t count) const {
  std::vector<int64_t> numbers(at(count));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return chosen(numbers);
}

EncodedSet EncodedSet::chosen(const std::vector<int64_t>& numbers) const {
  std::vector<EncodedExample> examples;
  examples.reserve(numbers.size());
  for (const int64_t i : numbers) {
    const auto tokens = ids(i), marks = segments(i);
    examples.push_back({{tokens.begin(), tokens.end()}, {marks.begin(), marks.end()}, label(i)});
  }
  return EncodedSet(examples);
}

void EncodedSet::take(const std::vector<EncodedShare>& shares) {
  for (const EncodedShare& share : shares) {
    ids_.insert(ids_.end(), share.ids.begin(), share.ids.end());
    segments_.insert(segments_.end(), share.segments.begin(), share.segments.end());
    for (const int64_t length : share.lengths) begin_.push_back(begin_.back() + length);
    truncated_ += share.truncated;
  }
}

void EncodedSet::leave_out(const Problems& overlong, const std::string& split, size_t count,
                           const EncodeOptions& options) {
  overlong_ = static_cast<int64_t>(overlong.count());
  overlong_texts_ = overlong.text();
  if (overlong_ <= options.max_overlong && overlong.count() < count) return;
  overlong.raise(fmt::format(
      "{}: {} of {} examples have no room for their texts; set train.max_length higher{}:", split,
      overlong.count(), count,
      overlong.count() == count
          ? ""
          : fmt::format(", or leave them out with train.max_overlong {}", overlong.count())));
}

void EncodedSet::count_targets() {
  for (int64_t i = 0; i < size(); ++i) {
    const auto marks = segments(i);
    targets_.push_back(std::count(marks.begin() + 1, marks.end(), 1));
  }
}

TextFrame text_frame(const Tokenizer& tokenizer) {
  TextFrame frame = plain_frame(tokenizer);
  if (frame.end < 0)
    fail("the tokenizer has no token for the end of a text; data-to-text training needs one");
  frame.separator = frame.end;
  return frame;
}

TextFrame plain_frame(const Tokenizer& tokenizer) {
  TextFrame frame{{}, -1, tokenizer.special().eos};
  // what the family puts before a text, Llama's <s>, without what it may put behind it
  for (const Template::Piece& piece : tokenizer.frame().single) {
    if (piece.id == Template::kFirst) break;
    frame.begin.push_back(piece.id);
  }
  return frame;
}

PromptIds prompt_ids(const Tokenizer& tokenizer, const TextFrame& frame, const std::string& context,
                     int64_t longest) {
  std::vector<int32_t> text;
  tokenizer.tokenize(context, text);
  const auto around = static_cast<int64_t>(frame.begin.size()) + (frame.separator >= 0 ? 1 : 0);
  const int64_t room = std::max<int64_t>(0, longest - around);
  const bool is_cut = static_cast<int64_t>(text.size()) > room;
  if (is_cut) text.erase(text.begin(), text.end() - static_cast<std::ptrdiff_t>(room));
  PromptIds prompt{frame.begin, is_cut};
  prompt.ids.insert(prompt.ids.end(), text.begin(), text.end());
  if (frame.separator >= 0) prompt.ids.push_back(frame.separator);
  return prompt;
}

}  // namespace mtlora
