// One thread's part of a step: passes over its examples of each micro-batch, added up. On the CPU
// each pass has a graph of its own; on a CUDA device it is recorded work (device_pass.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lib/train/device_pass.h"
#include "lib/train/objective.h"
#include "lib/train/phases.h"

namespace mtlora {

/// What one thread gathers over the micro-batches of a step.
struct ShardSum {
  double loss = 0;
  Tensor late_loss;  ///< of a device: an fp64 scalar to add to it, known when the device is done
  std::vector<Tensor> gradients;  ///< undefined where nothing reached a parameter
  Tensor flat;                    ///< of a device: all gradients together, instead of these
  std::optional<double> slope;    ///< of the loss, where the parameters carry a direction
  Phases phases;
};

class ShardPass {
 public:
  /// Of `objective` with the gradients of `tensors`; the objective outlives it.
  ShardPass(const Objective& objective, std::vector<Tensor> tensors, DevicePassOptions options);

  /// Adds the loss of the items times `share`, and its gradients; `key` is of seed and step.
  void add_gradients(const std::vector<Item>& items, uint64_t key, double share,
                     ShardSum& sum) const;
  /// Adds the loss alone, in evaluation and without a graph.
  void add_loss(const std::vector<Item>& items, double share, ShardSum& sum) const;

  /// On a device, all gradients of a sum together, zeros where it is of no example; else undefined.
  Tensor flat(const ShardSum& sum) const;
  /// Those of flat() as views, one a tensor.
  std::vector<Tensor> parts(const Tensor& flat) const { return device_pass_->parts(flat); }

 private:
  void add_on_device(const Batch& batch, uint64_t key, double share, ShardSum& sum) const;

  const Objective& objective_;
  std::vector<Tensor> tensors_;
  bool training_;
  std::unique_ptr<DevicePass> device_pass_;  // on a CUDA device
};

}  // namespace mtlora
