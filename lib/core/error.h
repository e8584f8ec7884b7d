// What a user can cause and mend is an Error: one message that says what was found, what was
// wanted, and where.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mtlora {

/// Anything the user can cause and mend: a bad option, a missing file, a checkpoint of another
/// model.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A command line that is wrong, such as options that exclude each other: the exit code is 2.
struct UsageError : Error {
  using Error::Error;
};

/// Throws an Error with the formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// An option as a message writes it, such as "--model DIR".
struct GivenOption {
  std::string_view usage;
  bool is_given;
};
/// Throws UsageError unless exactly one of two options is given.
void require_one_of(const GivenOption& first, const GivenOption& second);

/// The known name nearest to `given`, or "" when none is near enough to be what was meant.
std::string nearest(std::string_view given, const std::vector<std::string>& known);

/// `unknown key "rnak"; did you mean "rank"?`, or the list of known names when none is near.
std::string unknown(std::string_view kind, std::string_view given,
                    const std::vector<std::string>& known);

/// Collects like faults, to report them together; `limit` messages are shown, the rest is counted.
class Problems {
 public:
  explicit Problems(size_t limit = 20) : limit_(limit) {}
  void add(std::string message);
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }
  /// All messages, a line each.
  std::string text() const;
  /// Throws an Error of all messages, under `heading` if there is one; does nothing when there are
  /// none.
  void raise(std::string_view heading = "") const;

 private:
  size_t limit_, count_ = 0;
  std::vector<std::string> shown_;
};

}  // namespace mtlora
