#include "lib/text/added_tokens.h"

#include <algorithm>
#include <utility>

#include "lib/text/unicode.h"

namespace mtlora {
namespace {

// Where the white space begins that ends `text`.
size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t at = end - 1;
    while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
    size_t after = at;
    if (!is_whitespace(next_code_point(text, after))) break;
    end = at;
  }
  return end;
}

// Where the white space ends that begins at `at`.
size_t leading_space(std::string_view text, size_t at) {
  for (size_t after = at; at < text.size(); at = after)
    if (!is_whitespace(next_code_point(text, after))) break;
  return at;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<Entry> entries) : entries_(std::move(entries)) {
  std::erase_if(entries_, [](const Entry& entry) { return entry.pattern.empty(); });
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return a.pattern.size() > b.pattern.size();
  });
  for (const Entry& entry : entries_) starts_[static_cast<unsigned char>(entry.pattern[0])] = true;
}

const AddedTokens::Entry* AddedTokens::match(std::string_view text) const {
  for (const Entry& entry : entries_)
    if (text.starts_with(entry.pattern)) return &entry;
  return nullptr;
}

void AddedTokens::split(std::string_view text, const std::function<void(std::string_view)>& between,
                        const std::function<void(int32_t)>& found) const {
  size_t done = 0;
  for (size_t at = 0; !entries_.empty() && at < text.size();) {
    const Entry* entry =
        starts_[static_cast<unsigned char>(text[at])] ? match(text.substr(at)) : nullptr;
    if (!entry) {
      ++at;
      continue;
    }
    const size_t end = at + entry->pattern.size();
    const size_t begin =
        entry->token.lstrip ? std::max(done, trailing_space(text.substr(0, at))) : at;
    if (begin > done) between(text.substr(done, begin - done));
    found(entry->token.id);
    done = entry->token.rstrip ? leading_space(text, end) : end;
    at = end;  // the stripped space may hold further tokens
  }
  if (done < text.size()) between(text.substr(done));
}

}  // namespace mtlora
