// What the processes of one run have to have in common. Each reads the configuration, the model and
// the data by itself, on another machine maybe another copy of them, and sees what computes there:
// gradients of different runs would be summed without a word.
#pragma once

#include "lib/run/session.h"

namespace mtlora {

/// Throws Error, in all processes, unless they all compute with as many threads, on the same kind
/// of device, in the same type.
void require_alike(World& world, const Session& session);

/// Throws Error, in all processes, unless they all have the same options, but for where things lie,
/// the same base weights, and the same data; `hashes` are those of this one's.
void require_same_run(World& world, const Session& session, const Json& hashes);

}  // namespace mtlora
