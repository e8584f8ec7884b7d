// What is told on stdout while the program goes on.
#pragma once

namespace mtlora {

/// Hands on what has been printed so far. Throws Error where stdout cannot be written.
void flush_output();

}  // namespace mtlora
