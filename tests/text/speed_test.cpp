// How long the tokenizers take for the train set of SST-2 on two threads. Hidden; run
//   build/mtlora_base_tests "the train set of SST-2*"
#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <future>
#include <iostream>

#include "tests/text/tokenizers.h"

namespace mtlora {
namespace {

std::vector<std::string> lines_of(const std::string& content) {
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    lines.push_back(content.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

size_t count_ids(const Tokenizer& tokenizer, const std::vector<std::string>& lines, size_t from) {
  std::vector<int32_t> ids;
  for (size_t i = from; i < lines.size(); i += 2) tokenizer.tokenize(lines[i], ids);
  return ids.size();
}

}  // namespace

TEST_CASE("the train set of SST-2 becomes ids", "[.benchmark]") {
  const auto file = test::shared("data/sst2/train.tsv");
  if (!test::available(file)) return;
  const auto lines = lines_of(read_file(file));
  for (const auto& [name, tokenizer] : test::shared_tokenizers()) {
    const auto start = std::chrono::steady_clock::now();
    auto other = std::async(std::launch::async, count_ids, std::cref(*tokenizer), std::cref(lines),
                            size_t{1});
    const size_t ids = count_ids(*tokenizer, lines, 0) + other.get();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    CHECK(ids > lines.size());
    std::cout << fmt::format("{:<14}{:>8} lines{:>9} ids{:>8.2f} s\n", name, lines.size(), ids,
                             seconds.count());
  }
}

}  // namespace mtlora
