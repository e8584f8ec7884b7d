// The kernels work on pointers: one fault.
#pragma once

#include <ATen/ATen.h>
