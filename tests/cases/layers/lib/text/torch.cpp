// Text sees no LibTorch, and includes are written from the root: two faults.
#include <torch/types.h>

#include "wordpiece.h"
