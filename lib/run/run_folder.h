// A run's folder: when it may be written to, and what says that it is the same run.
#pragma once

#include <filesystem>

#include "lib/core/json.h"

namespace mtlora {

/// An existing run is continued when that is asked for, and never written over. Throws Error
/// otherwise; writes nothing.
void check_folder(const std::filesystem::path& folder, bool resume);

/// Makes the folder of a new run, with its configuration in it; or opens that of a run to be
/// resumed, and removes what a save that was killed has left. False: that run is finished. Throws
/// Error where the folder cannot be made, and where the run there has another configuration.
bool open_folder(const std::filesystem::path& folder, bool resume, const Json& config);

}  // namespace mtlora
