// What a process knows of the others of its run, and how it looks after them. Every process beats
// twice a second into the store that all can read; when a sum fails, whoever is left looks whose
// heart has stopped. The store lies in the process of rank 0, or beside it: where that does not
// answer, nothing that asks it ever ends, so that nobody waits for an answer without a limit. For
// the sources of ProcessGroup only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <vector>

#include "lib/backend/device_sums.h"
#include "lib/backend/process_group.h"

namespace mtlora::backend {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kBeat{500};
constexpr Milliseconds kSilence{2500};  // without a beat: gone, or stopped as a whole
constexpr Milliseconds kAnswer{5000};   // the store takes no longer, or does not answer any more

/// Runs work in a thread that nobody has to wait for. What it uses is its own, or shared with it.
std::future<void> started(std::function<void()> work);
/// Whether it does; otherwise it goes on.
bool ends_within(Milliseconds limit, std::function<void()> work);

/// The first line of what the library says, without where it says it and what is no help.
std::string essence(const std::string& text);

/// What has become of the meeting of the GPUs.
struct Meeting {
  std::unique_ptr<cuda::Nccl> nccl;
  std::string fault;
};

struct ProcessGroup::State {
  /// Why a sum failed, and whether that was before all its time had passed.
  struct FailedSum {
    std::string why;
    bool in_time;
  };

  Rendezvous place;
  Milliseconds timeout;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::Backend> group;
  std::atomic<int64_t> sums{0};  // begun by this process

  std::mutex mutex;
  std::condition_variable ending;
  bool is_ending = false;
  std::future<void> heart;
  std::shared_ptr<DeviceSums> devices;  // under the mutex, for the heart's sake

  // The store. Whoever calls these waits for its answer without a limit.
  std::string key(const char* what, int rank) const;
  void set(const std::string& name, const std::string& text) const;
  std::string get(const std::string& name) const;        ///< "" where there is nothing
  std::vector<std::string> all(const char* what) const;  ///< of every rank

  void beat(int64_t count) const;
  void keep_beating();
  bool ends_before_the_next_beat();

  // The processes' GPUs: process_devices.cpp.
  void meet(Meeting& meeting, int device) const;
  std::string first_fault() const;
  void end_devices_of_a_broken_run();
  std::shared_ptr<DeviceSums> devices_in_use();

  PeerFailure blame(const FailedSum& sum) const;
};

}  // namespace mtlora::backend
