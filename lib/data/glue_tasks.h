// The tasks of the GLUE benchmark as one table: what is asked, and how their files are laid out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/data/records.h"
#include "lib/data/task.h"

namespace mtlora {

/// One GLUE task. Its files come in two layouts.
///   official: TSV without quoting, as the benchmark's archives hold them;
///   Hugging Face: the columns of the `glue` data set (and its `idx`), as CSV, TSV quoted like CSV,
///   or JSON lines; labels as names or class indices, -1 where there is none.
struct GlueTask {
  std::string name, summary;
  std::string source;                 ///< where the official files are to be had
  TaskInfo info;                      ///< without the name; labels in the order of Hugging Face
  Columns columns;                    ///< of the Hugging Face layout
  Columns official;                   ///< of the official layout
  std::vector<std::string> labels{};  ///< as official files spell them, in the order of info.labels
  std::vector<std::string> headers{};  ///< official header lines: train, (dev,) test
  std::string headerless{};            ///< the columns of official files without a header, or ""
  bool has_mismatched = false;         ///< dev and test are two sets each, matched and mismatched
};

const std::vector<GlueTask>& glue_tasks();

/// How one file of a task is to be read.
struct GlueLayout {
  std::optional<TableShape> table;  ///< none: JSON lines
  Columns columns;
  bool is_official = false;
};

/// The layout of a file with this extension and first line (without its end). Throws Error, with
/// the header found and those expected, when it is none that is known; `origin` begins the message.
GlueLayout glue_layout(const GlueTask& task, const std::string& extension,
                       const std::string& first_line, const std::string& origin);

}  // namespace mtlora
