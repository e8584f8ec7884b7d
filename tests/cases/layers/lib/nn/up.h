// A building block may not know a model: one fault. Its other includes are allowed.
#pragma once

#include <torch/types.h>

#include "lib/core/error.h"
#include "lib/models/bert.h"
#include "lib/nn/linear.h"
