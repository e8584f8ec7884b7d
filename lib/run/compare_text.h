// A comparison as Markdown tables.
#pragma once

#include <string>
#include <vector>

#include "lib/run/run_groups.h"

namespace mtlora {

/// Three tables: best and last of every group, and every run. `metrics` are the columns of scores.
std::string comparison_text(const Comparison& comparison, const std::vector<std::string>& metrics);

}  // namespace mtlora
