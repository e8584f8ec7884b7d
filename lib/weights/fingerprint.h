// A name for the values of a set of tensors: 128 bits in hexadecimal digits. Two sets that differ
// by accident have different ones; whoever wants to can make two sets with the same one: it is not
// cryptographic.
#pragma once

#include <string>

#include "lib/weights/weight_file.h"

namespace mtlora {

/// Of names, types, shapes and bytes; the order of the tensors does not matter. 32 digits.
std::string fingerprint(const NamedTensors& tensors);

}  // namespace mtlora
