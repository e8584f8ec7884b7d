// Sums over the GPUs of several processes, by NCCL (docs.nvidia.com/deeplearning/nccl). In a build
// without it only is_built() may be called.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>

#include "lib/backend/cuda/kernels.h"

namespace mtlora::backend::cuda {

/// Numbers that lie one after another on the device.
struct Numbers {
  void* data;
  int64_t count;
  bool is_double;  ///< fp64; else fp32
};

/// What NCCL says of a failure.
struct NcclFailure : std::runtime_error {
  NcclFailure(const std::string& what, bool of_another)
      : std::runtime_error(what), is_of_another(of_another) {}
  bool is_of_another;  ///< of another process, or of the way to it
};

class Nccl {
 public:
  static bool is_built();
  /// The device in use, by what NCCL tells devices apart: it does not serve two processes of one.
  /// The first call of all.
  static std::string device();
  /// What the processes find each other by: made by one of them and given to all.
  static std::string invitation();

  /// Meets the others on the device in use; `device`: its index, for the calling thread may be any.
  /// Waits for them without a limit. Throws NcclFailure, as all here.
  Nccl(const std::string& invitation, int rank, int size, int device);
  /// What is under way goes on; the others may miss this process then.
  ~Nccl();
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  /// Puts the sums over all processes, the same bits everywhere, in the numbers' place, when the
  /// stream comes there. Up to four may be asked for and not done.
  void sum(std::span<const Numbers> all, Stream stream);
  /// The number of the sum that the device has come to and has not done, and so waits for the
  /// others, perhaps; -1: none. Of any thread, also while one records work.
  int64_t under_way();
  /// What NCCL itself has found to be wrong.
  void check();
  /// Ends what is under way, whose numbers are senseless then. Of any thread; nothing else may be
  /// asked for afterwards.
  void abandon();

 private:
  struct State;
  State* state_;
};

}  // namespace mtlora::backend::cuda
