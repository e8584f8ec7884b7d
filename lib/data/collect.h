// Records become examples: labels are understood, malformed rows collected and reported together.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/error.h"
#include "lib/data/records.h"
#include "lib/data/task.h"

namespace mtlora {

/// How a file spells labels.
struct LabelRule {
  TaskKind kind = TaskKind::classification;
  std::map<std::string, double, std::less<>> classes{};  ///< spelling → class index
  std::vector<std::string> known{};                      ///< the spellings, as an error lists them
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  std::string none{};    ///< the spelling of "no label", beside an absent one
  bool required = true;  ///< whether an example without a label is malformed

  /// Adds spellings: the k-th is class k.
  void add_classes(const std::vector<std::string>& spellings);
  /// The label, NaN for none. Throws Error saying what is wrong with it.
  double read(const std::optional<std::string>& written) const;
};

/// Whether a record of one file is malformed, whatever its label means.
class RecordCheck {
 public:
  /// `bytes` is the file's content.
  explicit RecordCheck(std::string_view bytes);
  /// Throws Error where it is: saying what its row's problem is, or what of it is not UTF-8.
  void operator()(const Record& record) const;

 private:
  bool valid_utf8_;  // all of the file: no record has to be looked at
};

/// Gathers the examples of one file.
class Collector {
 public:
  /// `bytes` is the file's content; the references must outlive the collector.
  Collector(const std::filesystem::path& file, std::string_view bytes, const LabelRule& labels);

  void add(Record&& record);

  /// The data set. Throws Error with the malformed rows when there are more than `max_malformed`,
  /// and when there is no example.
  Dataset finish(std::string split, int64_t max_malformed);

 private:
  RecordCheck check_;
  const LabelRule& labels_;
  Problems problems_;
  Dataset data_;
};

/// Throws Error with the malformed rows of a file when there are more than `max_malformed`; `good`
/// is how many rows are not malformed.
void check_malformed(const Problems& problems, const std::string& file, size_t good,
                     int64_t max_malformed);

}  // namespace mtlora
