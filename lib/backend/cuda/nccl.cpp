#include "lib/backend/cuda/nccl.h"

#include <cuda_runtime.h>
#include <nccl.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "lib/core/processes.h"

namespace mtlora::backend::cuda {
namespace {

// A system error is one of sockets and files, of which the others' are the other ends.
bool is_of_another(ncclResult_t result) {
  return result == ncclRemoteError || result == ncclSystemError;
}

void check_result(ncclResult_t result) {
  if (result == ncclSuccess) return;
  const std::string more = ncclGetLastError(nullptr);
  throw NcclFailure("NCCL: " + std::string(ncclGetErrorString(result)) +
                        (more.empty() ? "" : ": " + more.substr(0, more.find('\n'))),
                    is_of_another(result));
}

void check_result(cudaError_t error) {
  if (error != cudaSuccess)
    throw NcclFailure("CUDA: " + std::string(cudaGetErrorString(error)), false);
}

// What any thread asks of a device: nothing of it may touch another device, where a context would
// take memory, nor be refused because a thread records work.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    cudaSetDevice(device);
    cudaThreadExchangeStreamCaptureMode(&mode_);
  }
  ~OnDevice() { cudaThreadExchangeStreamCaptureMode(&mode_); }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// A place in what the device was asked for.
class Mark {
 public:
  void make() { check_result(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming)); }
  void set(cudaStream_t stream) const { check_result(cudaEventRecord(event_, stream)); }
  bool is_reached() const {
    if (cudaEventQuery(event_) != cudaErrorNotReady) return true;
    cudaGetLastError();  // it is no error
    return false;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

constexpr int64_t kMostUnderWay = 4;

}  // namespace

struct Nccl::State {
  int device = 0;
  std::mutex mutex;
  ncclComm_t all = nullptr;  // null: abandoned
  // of the sum of each number modulo their count
  std::array<Mark, kMostUnderWay> begun, done;
  int64_t asked = 0, finished = 0;

  void count_finished() {
    while (finished < asked && done[static_cast<size_t>(finished % kMostUnderWay)].is_reached())
      ++finished;
  }
};

bool Nccl::is_built() {
  return true;
}

// NCCL compares the machine, which NCCL_HOSTID may name, and the place on its bus.
std::string Nccl::device() {
  // All connections are made at once, where a time limit is kept, and not in the middle of a run.
  setenv("NCCL_RUNTIME_CONNECT", "0", /*overwrite=*/0);
  int index = 0;
  check_result(cudaGetDevice(&index));
  std::array<char, 32> place{};
  check_result(cudaDeviceGetPCIBusId(place.data(), place.size(), index));
  const char* host = std::getenv("NCCL_HOSTID");
  return (host ? host : machine_mark()) + " " + place.data();
}

std::string Nccl::invitation() {
  ncclUniqueId id;
  check_result(ncclGetUniqueId(&id));
  return {id.internal, sizeof id.internal};
}

Nccl::Nccl(const std::string& invitation, int rank, int size, int device) : state_(new State) {
  ncclUniqueId id;
  std::memcpy(id.internal, invitation.data(), std::min(invitation.size(), sizeof id.internal));
  state_->device = device;
  try {
    check_result(cudaSetDevice(device));
    for (auto* marks : {&state_->begun, &state_->done})
      for (Mark& mark : *marks) mark.make();
    check_result(ncclCommInitRank(&state_->all, size, id, rank));
  } catch (...) {
    delete state_;
    throw;
  }
}

// Neither ncclCommDestroy, which waits for the others, nor, for what is under way, ncclCommAbort,
// which waits for all that the device does before.
Nccl::~Nccl() {
  if (under_way() < 0 && state_->finished == state_->asked) abandon();
  delete state_;
}

void Nccl::sum(std::span<const Numbers> all, Stream on) {
  State& s = *state_;
  const auto stream = static_cast<cudaStream_t>(on);
  const std::scoped_lock lock(s.mutex);
  if (!s.all) throw NcclFailure("NCCL: given up before", true);
  const auto place = static_cast<size_t>(s.asked % kMostUnderWay);
  s.begun[place].set(stream);
  check_result(ncclGroupStart());
  ncclResult_t first = ncclSuccess;
  for (const Numbers& n : all)
    if (first == ncclSuccess)
      first = ncclAllReduce(n.data, n.data, static_cast<size_t>(n.count),
                            n.is_double ? ncclDouble : ncclFloat, ncclSum, s.all, stream);
  const ncclResult_t end = ncclGroupEnd();  // also after an error: the group is the thread's
  check_result(first);
  check_result(end);
  s.done[place].set(stream);
  ++s.asked;
}

int64_t Nccl::under_way() {
  State& s = *state_;
  const OnDevice on(s.device);
  const std::scoped_lock lock(s.mutex);
  s.count_finished();
  if (s.finished == s.asked) return -1;
  return s.begun[static_cast<size_t>(s.finished % kMostUnderWay)].is_reached() ? s.finished : -1;
}

void Nccl::check() {
  const std::scoped_lock lock(state_->mutex);
  if (!state_->all) return;
  ncclResult_t found = ncclSuccess;
  check_result(ncclCommGetAsyncError(state_->all, &found));
  if (found != ncclInProgress) check_result(found);
}

void Nccl::abandon() {
  const OnDevice on(state_->device);
  const std::scoped_lock lock(state_->mutex);
  if (state_->all) ncclCommAbort(std::exchange(state_->all, nullptr));
}

}  // namespace mtlora::backend::cuda
