// Metrics of generated text: a corpus of outputs and their references in, one number out. Each
// metric reduces a segment to statistics that add up, so that the corpus score, the score of one
// segment and that of a bootstrap sample are the same function of a sum. Each is a file of this
// folder and a line of text_metrics.def.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/options.h"

namespace mtlora {

/// One output and the texts it is compared with. A reference that is missing (data sets pad the
/// number of references) does not stand here, see `empty_references`.
struct TextSegment {
  std::string hypothesis;
  std::vector<std::string> references;  ///< at least one
  /// References that are missing and that the official scorer saw as empty lines (the WebNLG
  /// challenge): BLEU's brevity term counts them as length 0, the others ignore them.
  size_t empty_references = 0;
};

/// A number that a metric gives beside its score: TER's edits.
struct NamedNumber {
  std::string name;
  double value;
};

/// One metric at work on one corpus.
class TextScorer {
 public:
  virtual ~TextScorer() = default;
  /// What segment `i` adds, always the same number of values.
  virtual std::vector<double> statistics(size_t i) const = 0;
  /// The score of summed statistics of `segments` segments.
  virtual double score(const std::vector<double>& sum, size_t segments) const = 0;
  /// What readers of the score have to know: that it is not the official one, and why. "" for none.
  virtual std::string note() const { return ""; }
  /// Numbers to print beside the corpus score.
  virtual std::vector<NamedNumber> details(const std::vector<double>& sum, size_t segments) const {
    (void)sum, (void)segments;
    return {};
  }
};

struct TextMetric : Entry {
  std::string source;  ///< the official scorer it equals
  bool larger_is_better = true;
  /// The scorer of a corpus, which must outlive it. Throws Error for wrong options.
  std::function<std::unique_ptr<TextScorer>(const Json& options,
                                            const std::vector<TextSegment>& corpus)>
      start;
};

/// Every metric of text_metrics.def, in that order.
const std::vector<TextMetric>& text_metrics();
/// Throws Error with the nearest known name.
const TextMetric& text_metric(std::string_view name);

namespace text_metrics_list {
#define TEXT_METRIC(name) TextMetric name();
#include "lib/metrics/text_metrics.def"
#undef TEXT_METRIC
}  // namespace text_metrics_list

}  // namespace mtlora
