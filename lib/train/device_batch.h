// A batch on a CUDA device: all its tensors lie in one buffer, so that a batch is one copy away.
#pragma once

#include <torch/types.h>

#include <memory>
#include <vector>

#include "lib/nn/pass.h"

namespace mtlora {

/// What a buffer has room for.
struct BatchSize {
  int64_t tokens = 0, sequences = 0, labels = 0, targets = 0;
  int64_t longest = 0;  ///< no sequence has more tokens
  torch::ScalarType label = torch::kLong;

  static BatchSize of(const Batch& batch);
};

/// int64 [words] on the CPU, not set; where `device` is CUDA's, page-locked, so that a copy to it
/// needs no help of the thread that asks for it.
Tensor staging(int64_t words, torch::Device device);

class DeviceBatch {
 public:
  DeviceBatch(const BatchSize& size, torch::Device device);

  /// Takes over a batch of the CPU with as many sequences, and at most as many tokens and, of a
  /// text, targets; the rest is filler: tokens after the last sequence, targets labelled -1. The
  /// copy is under way when this returns.
  void fill(const Batch& batch);
  /// On the device. Its tensors stay where they are.
  const Batch& batch() const { return batch_; }
  /// Takes the offsets off the CPU until the next batch: work that is recorded may not depend on
  /// them.
  void hide_offsets() { host_offsets_->clear(); }

 private:
  Tensor words(int64_t count);  // the next of the buffer, int64

  BatchSize size_;
  Tensor buffer_;  // int64, on the device
  int64_t used_ = 0;
  std::shared_ptr<std::vector<int32_t>> host_offsets_ = std::make_shared<std::vector<int32_t>>();
  Batch batch_;
};

/// The batch itself where it is on the device already, else a copy there.
Batch on_device(const Batch& batch, torch::Device device);

}  // namespace mtlora
