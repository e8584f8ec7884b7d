// What CUDA graphs do, on the CPU: the operations and grids that a piece of work asks for are noted
// with their arguments, and asked for again by replay(). LibTorch's operations are met below
// autograd, where a device would be asked for kernels. As in a graph, a number that is not a tensor
// stays what it was when it was recorded; what the CPU writes into a tensor's memory itself is not
// recorded; and what is made on the way is gone once another graph of the same memory is replayed.
//
// Unlike a graph, the work is done while it is recorded: what it adds to stands there once too
// often.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/stack.h>

#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

namespace c10 {
class OperatorHandle;
}

namespace mtlora::emulator {

class Recording {
 public:
  /// Throws what `work` throws, and c10::Error where it wants to know numbers of the device.
  /// Nothing is recorded then.
  void record(const std::function<void()>& work);
  void replay() const;
  /// Makes what the work made unusable: all bytes 0xff.
  void spoil() const;

  /// What a replay asks for, in order: names of LibTorch's operations, and "grid".
  const std::vector<std::string>& names() const { return names_; }

  /// What LibTorch's dispatcher calls while something is recorded: does the operation and notes it.
  void meet(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack);

 private:
  void note_made(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs);

  void add(const std::string& name, std::function<void()> step);

  std::vector<std::function<void()>> steps_;
  std::vector<std::string> names_;
  std::vector<at::Tensor> made_, kept_;  // of the work; kept: so that no memory is given away twice
  std::unordered_set<const void*> known_;  // storages
};

}  // namespace mtlora::emulator
