// Where a run computes.
#pragma once

#include <torch/types.h>

#include "lib/run/run_options.h"

namespace mtlora {

/// The device of train.device: auto is a CUDA device where this build can use one and one is
/// visible, else the CPU. Processes of one machine take its devices in turn. Throws Error where the
/// device is not there. From here on this thread works on it.
torch::Device open_device(const RunOptions& options, int local_rank);

/// The compute type of train.dtype on a device.
torch::ScalarType compute_type(const TrainOptions& options, torch::Device device);

}  // namespace mtlora
