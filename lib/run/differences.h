// What differs between two configurations.
#pragma once

#include <string>
#include <vector>

#include "lib/core/json.h"

namespace mtlora {

struct Difference {
  std::string option;  ///< its JSON pointer
  std::string text;    ///< "/train/seed: 1 there, 2 now"
};

/// The options that differ between two configurations, or between two parts of such that stand `at`
/// a JSON pointer. Both have every option in its order; that of values by names is the user's, and
/// of patterns it says which comes first.
std::vector<Difference> differences(const Json& there, const Json& now, const std::string& at = "");

}  // namespace mtlora
