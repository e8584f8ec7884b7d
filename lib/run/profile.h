// bench --profile: what a step spends its time on, and how far that is from what the device could
// do.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lib/core/json.h"
#include "lib/run/session.h"

namespace mtlora {

/// The class of a kernel, by its name as the profiler gives it; "other" where none is known.
std::string kernel_class(const std::string& kernel);

/// The CUDA device's time of `steps` steps, which `work` makes; it returns their tokens. By class
/// of kernel and by kernel, per step, the longest first: {"classes": [{"class", "milliseconds",
/// "share", "kernels"}], "kernels": [{"name", …}], "milliseconds", "floor_milliseconds", "ratio",
/// "ceilings"}. Throws Error where the profiler sees nothing.
Json profile_steps(const Session& session, int64_t steps, const std::function<int64_t()>& work);

/// The same for people.
std::string profile_text(const Json& profile);

}  // namespace mtlora
