#include "lib/data/json_entries.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <vector>

#include "lib/core/error.h"

namespace mtlora {
namespace {

// Goes through text and counts its lines.
class LineIterator {
 public:
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;
  using iterator_category = std::input_iterator_tag;

  LineIterator(const char* at, size_t& line) : at_(at), line_(&line) {}
  reference operator*() const { return *at_; }
  LineIterator& operator++() {
    *line_ += *at_++ == '\n';
    return *this;
  }
  LineIterator operator++(int) {
    LineIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const LineIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  size_t* line_;
};

using Event = Json::parse_event_t;
using Each = std::function<void(size_t line, const Json& entry)>;

// What the parser tells while it reads: an entry that is complete is handed on and forgotten.
class Watch {
 public:
  Watch(const std::string& key, const Each& each, const size_t& line)
      : key_(key), each_(each), line_(line), depth_(key.empty() ? 1 : 2) {}

  // Whether the parser is to keep `value`, which stands in `depth` arrays and objects.
  bool operator()(int depth, Event event, const Json& value) {
    if (event == Event::key) on_key(depth, value.get_ref<const std::string&>());
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::array_start && depth == depth_ - 1 && is_wanted_) found_ = is_open_ = true;
    if (event == Event::array_end && depth == depth_ - 1) is_open_ = false;
    if (!is_open_ || depth != depth_) return true;
    if (event == Event::object_start || event == Event::array_start) {
      begin_ = line_;
      return true;
    }
    each_(event == Event::value ? line_ : begin_, value);
    return false;
  }

  bool found() const { return found_; }
  /// Where a key stands twice in one object: the key and its line.
  std::string twice{};
  size_t twice_line = 0;

 private:
  void on_key(int depth, const std::string& key) {
    std::vector<std::string>& keys = keys_.back();
    if (std::find(keys.begin(), keys.end(), key) != keys.end() && twice.empty()) {
      twice = key;
      twice_line = line_;
    }
    keys.push_back(key);
    if (depth == 1) is_wanted_ = key == key_;
  }

  const std::string& key_;
  const Each& each_;
  const size_t& line_;
  int depth_;  // of the entries
  // Whether an array that begins now would be the one; whether it was seen; whether it is open.
  bool is_wanted_ = key_.empty(), found_ = false, is_open_ = false;
  size_t begin_ = 0;                            // line of the entry that is open
  std::vector<std::vector<std::string>> keys_;  // of the objects that are open
};

}  // namespace

void read_json_entries(std::string_view content, const std::string& origin, const std::string& key,
                       const Each& each) {
  size_t line = 1;
  Watch watch(key, each, line);
  const LineIterator begin(content.data(), line), end(content.data() + content.size(), line);
  try {
    // What is left when the entries are gone is of no use. The parser copies its callback.
    std::ignore = Json::parse(
        begin, end,
        [&](int depth, Event event, Json& v) {
          if (depth > kDeepestJson) fail_json_depth(fmt::format("{}:{}", origin, line));
          return watch(depth, event, v);
        },
        /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const Json::exception&) {
    parse_json(content, origin);  // fails for the same reason, and says it in our words
    throw;
  }
  if (!watch.twice.empty())
    fail("{}:{}: the key \"{}\" stands twice in one object", origin, watch.twice_line, watch.twice);
  if (watch.found()) return;
  if (key.empty()) fail("{}: is not a JSON array of entries", origin);
  fail("{}: is not a JSON object with an array \"{}\"", origin, key);
}

}  // namespace mtlora
