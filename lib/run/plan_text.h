// A plan for people.
#pragma once

#include <string>

#include "lib/core/json.h"

namespace mtlora {

/// Of what `mtlora plan --json` prints; a line a thing.
std::string plan_text(const Json& plan);

}  // namespace mtlora
