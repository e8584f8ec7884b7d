// What is told on stdout.
#pragma once

namespace mtlora {

/// Hands on what has been printed so far. Throws Error where stdout cannot be written, or could not
/// before.
void flush_output();

}  // namespace mtlora
