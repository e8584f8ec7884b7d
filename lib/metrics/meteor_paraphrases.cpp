#include "lib/metrics/meteor_paraphrases.h"

#include <algorithm>
#include <future>
#include <optional>

#include "lib/core/error.h"
#include "lib/core/gzip.h"

namespace mtlora {
namespace {

constexpr size_t block_bytes = size_t{4} << 20;

struct Entry {
  std::string_view probability, phrase, paraphrase;
};

/// Takes the first three lines off `rest`; nothing where they are not all there.
std::optional<Entry> take_entry(std::string_view& rest) {
  size_t ends[3], begin = 0;
  for (size_t& end : ends) {
    end = rest.find('\n', begin);
    if (end == std::string_view::npos) return std::nullopt;
    begin = end + 1;
  }
  const Entry entry{rest.substr(0, ends[0]), rest.substr(ends[0] + 1, ends[1] - ends[0] - 1),
                    rest.substr(ends[1] + 1, ends[2] - ends[1] - 1)};
  rest.remove_prefix(begin);
  return entry;
}

// Its first digit is enough to tell that the lines are out of step.
void check_probability(const Entry& entry, const std::filesystem::path& file, size_t line) {
  if (!entry.probability.empty() && entry.probability[0] >= '0' && entry.probability[0] <= '9')
    return;
  fail("{}:{}: a probability was expected, as in METEOR's table of three lines a pair",
       file.string(), line);
}

/// Calls `use` with every entry; a block is decompressed while the one before it is read.
template <class Use>
void each_entry(const std::filesystem::path& file, const Use& use) {
  GzipFile gzip(file);
  const auto next_block = [&] { return gzip.read(block_bytes); };
  std::string text;
  size_t entries = 0;
  for (std::string block = next_block(); !block.empty();) {
    auto following = std::async(std::launch::async, next_block);
    text += block;
    std::string_view rest = text;
    while (const auto entry = take_entry(rest)) {
      check_probability(*entry, file, 3 * entries++ + 1);
      use(*entry);
    }
    text.erase(0, text.size() - rest.size());
    block = following.get();
  }
  if (!text.empty() || entries == 0) {
    fail("{}: it ends in the middle of its pair {}, of three lines each", file.string(),
         entries + 1);
  }
}

/// Appends the numbers of a line's words; false at the first that has none.
template <class Numbers>
bool encode(std::string_view line, const Numbers& words, std::vector<int>& out) {
  constexpr std::string_view blank = " \t\r\f";
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
    if (line.empty()) return true;
    const size_t end = std::min(line.find_first_of(blank), line.size());
    const auto found = words.find(line.substr(0, end));
    if (found == words.end()) return false;
    out.push_back(found->second);
    line.remove_prefix(end);
  }
}

}  // namespace

MeteorParaphrases::MeteorParaphrases(const std::filesystem::path& file,
                                     const std::unordered_map<std::string, int>& words) {
  const Numbers numbers(words.begin(), words.end());
  each_entry(file, [&](const Entry& entry) { add(entry.phrase, entry.paraphrase, numbers); });
}

void MeteorParaphrases::add(std::string_view phrase, std::string_view paraphrase,
                            const Numbers& words) {
  std::vector<int> first, second;
  if (!encode(phrase, words, first) || !encode(paraphrase, words, second)) return;
  int state = 0;
  for (const int word : first) {
    const auto [next, is_new] =
        steps_.try_emplace(step(state, word), static_cast<int>(ends_.size()));
    if (is_new) ends_.emplace_back();
    state = next->second;
  }
  ends_[static_cast<size_t>(state)].push_back(static_cast<int>(phrases_.size()));
  phrases_.push_back(std::move(second));
}

}  // namespace mtlora
