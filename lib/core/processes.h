// Processes of this machine, as others name them.
#pragma once

#include <string>

namespace mtlora {

/// What tells this machine, since it was started, from others.
std::string machine_mark();

/// This process, for others to find it by.
std::string process_mark();
/// The same of another one that this process can see.
std::string process_mark(int pid);

/// Whether the process of this mark has ended. False too where this process cannot know: of another
/// machine, or of another container of this one.
bool has_ended(const std::string& mark);

/// Since this process began, the loading of its libraries included; to 10 ms.
double seconds_since_start();

}  // namespace mtlora
