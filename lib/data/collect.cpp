#include "lib/data/collect.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "lib/core/random.h"
#include "lib/data/shown_text.h"
#include "lib/text/unicode.h"

namespace mtlora {
namespace {

double read_score(std::string_view written, double low, double high) {
  double score = 0;
  const char* end = written.data() + written.size();
  const bool has_plus = written.size() > 1 && written[0] == '+' && written[1] != '-';
  const auto [stopped, error] = std::from_chars(written.data() + has_plus, end, score);
  if (error != std::errc() || stopped != end || !std::isfinite(score))
    fail("the label \"{}\" is not a number", shown_text(written));
  if (!std::isfinite(static_cast<float>(score)))
    fail("the label {} is beyond what fp32 holds", shown_text(written));
  if (score < low || score > high)
    fail("the label {} is not between {} and {}", shown_text(written), low, high);
  return score;
}

void check_text(std::string_view name, const std::string& text) {
  const std::optional<size_t> at = invalid_utf8(text);
  if (at) fail("the {} is not UTF-8 from its byte {} on", name, *at + 1);
}

}  // namespace

void LabelRule::add_classes(const std::vector<std::string>& spellings) {
  for (size_t i = 0; i < spellings.size(); ++i)
    classes.emplace(spellings[i], static_cast<double>(i));
  known.insert(known.end(), spellings.begin(), spellings.end());
}

double LabelRule::read(const std::optional<std::string>& written) const {
  // a number where labels are: -1 may have come through a column of decimals
  const bool is_none = !written || *written == none || (!none.empty() && *written == none + ".0");
  if (is_none && required)
    fail("there is no label{}", written && !none.empty() ? fmt::format(" (\"{}\")", *written) : "");
  if (is_none) return std::numeric_limits<double>::quiet_NaN();
  if (kind == TaskKind::regression) return read_score(*written, low, high);
  const auto found = classes.find(*written);
  if (found == classes.end())
    fail("the label \"{}\" is none of: {}", shown_text(*written), shown_list(known));
  return found->second;
}

RecordCheck::RecordCheck(std::string_view bytes) : valid_utf8_(!invalid_utf8(bytes)) {}

void RecordCheck::operator()(const Record& record) const {
  if (!record.problem.empty()) throw Error(record.problem);
  if (valid_utf8_) return;
  check_text("text", record.text);
  check_text("second text", record.text_pair.value_or(""));
  check_text("label", record.label.value_or(""));
}

Collector::Collector(const std::filesystem::path& file, std::string_view bytes,
                     const LabelRule& labels)
    : check_(bytes), labels_(labels) {
  data_.files = {file};
  data_.hash = fmt::format("{:016x}", name_key(bytes));
}

void Collector::add(Record&& record) {
  try {
    check_(record);
    const double label = labels_.read(record.label);
    data_.empty_texts += record.text.empty() || (record.text_pair && record.text_pair->empty());
    data_.examples.push_back(
        {std::move(record.text), std::move(record.text_pair).value_or(""), label});
  } catch (const Error& e) {
    problems_.add(fmt::format("{}:{}: {}", data_.files.front().string(), record.line, e.what()));
  }
}

Dataset Collector::finish(std::string split, int64_t max_malformed) {
  const std::string file = data_.files.front().string();
  data_.malformed = problems_.count();
  data_.malformed_rows = problems_.text();
  check_malformed(problems_, file, data_.examples.size(), max_malformed);
  if (data_.examples.empty()) fail("{}: there is no example in it", file);
  data_.split = std::move(split);
  return std::move(data_);
}

void check_malformed(const Problems& problems, const std::string& file, size_t good,
                     int64_t max_malformed) {
  if (std::cmp_greater(problems.count(), max_malformed))
    problems.raise(fmt::format(
        "{}: {} of {} rows malformed, {} allowed (to leave them out, set "
        "task.max_malformed to {}):",
        file, problems.count(), problems.count() + good, max_malformed, problems.count()));
}

}  // namespace mtlora
