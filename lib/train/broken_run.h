// A run that cannot go on, by numbers that are not finite or by a process that is gone.
#pragma once

#include <string>
#include <utility>

#include "lib/core/error.h"

namespace mtlora {

/// Says why. Whether anything of the run is saved is added by who knows its folder.
struct BrokenRun : Error {
  explicit BrokenRun(const std::string& why, std::string how_on = "")
      : Error(why), how_to_go_on(std::move(how_on)) {}
  std::string how_to_go_on;  ///< from a checkpoint, where there is one; "" for no advice
};

}  // namespace mtlora
