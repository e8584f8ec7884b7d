#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// The session of --checkpoint or of --model. Throws UsageError unless exactly one is given, or
/// where --set names another model beside the latter.
Session open_source(const ModelSource& source);

}  // namespace mtlora
