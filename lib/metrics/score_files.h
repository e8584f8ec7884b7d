// Outputs and references in files.
//   outputs      one a line; a .jsonl has an object with a "text" a line, as `mtlora generate`
//                prints them; a .csv or .tsv a header and two columns, what an output is about and
//                the output, as the E2E challenge's submissions
//   references   one a line in several files, line i of each for output i; or one file: as many
//                lines as there are outputs, groups of lines with a blank line between, or a .csv
//                or .tsv with a header whose neighbouring rows of equal first cells are a group
//                (the E2E challenge's testset_w_refs.csv)
// Lines end with LF or CRLF; a UTF-8 byte-order mark is left out.
#pragma once

#include <string>
#include <vector>

#include "lib/metrics/text_metric.h"

namespace mtlora {

struct ScoreFiles {
  std::string hypotheses;
  std::vector<std::string> references;
  /// What a line that is empty in one of several reference files means: "empty" or "", an empty
  /// reference (as the WebNLG challenge), see TextSegment; "first", the first reference of that
  /// output once more (as LoRA's scripts); "none", nothing.
  std::string missing_reference{};
};

struct ScoreCorpus {
  std::vector<TextSegment> segments;
  size_t missing_references = 0;
};

/// Throws Error, with file and line, where the numbers of outputs and references differ, an output
/// has no reference at all, two tables are not in one order, or a file cannot be read or holds JSON
/// where texts are wanted; and for a policy of missing references where they stand in groups.
ScoreCorpus read_score_files(const ScoreFiles& files);

}  // namespace mtlora
