// c10d's gloo. Every process beats once a second into the store that all can read; when a sum
// fails, whoever is left looks whose heart has stopped.
#define USE_C10D_GLOO
#include "lib/backend/process_group.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "lib/core/error.h"

namespace mtlora::backend {
namespace {

using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kBeat{500};
constexpr Milliseconds kSilence{2500};  // without a beat: gone, or stopped as a whole

Milliseconds milliseconds(double seconds) {
  return Milliseconds(static_cast<int64_t>(1000 * seconds));
}

c10::intrusive_ptr<c10d::TCPStore> make_store(const Rendezvous& place, Milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0 && !place.store_is_there;
  options.numWorkers = static_cast<size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::TCPStore>(place.host, options);
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

}  // namespace

struct ProcessGroup::State {
  Rendezvous place;
  Milliseconds timeout;
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
  std::atomic<int64_t> sums{0};  // begun by this process

  std::mutex mutex;
  std::condition_variable ending;
  bool is_ending = false;
  std::thread heart;

  std::string key(const char* what, int rank) const {
    return std::string("mtlora/") + what + "/" + std::to_string(rank);
  }
  void set(const std::string& name, const std::string& text) const {
    store->set(name, std::vector<uint8_t>(text.begin(), text.end()));
  }
  std::string get(const std::string& name) const {
    if (!store->check({name})) return "";
    const auto bytes = store->get(name);
    return {bytes.begin(), bytes.end()};
  }

  // "<beats> <sums begun>"
  void beat(int64_t count) const {
    set(key("beat", place.rank), std::to_string(count) + " " + std::to_string(sums.load()));
  }
  void keep_beating() {
    std::unique_lock lock(mutex);
    for (int64_t count = 1; !is_ending; ++count) {
      try {
        beat(count);
      } catch (const std::exception&) {
        return;  // the store is gone: the next sum will say so
      }
      ending.wait_for(lock, kBeat, [&] { return is_ending; });
    }
  }

  PeerFailure blame(const std::string& what);
  std::vector<std::string> beats() const {
    std::vector<std::string> all;
    for (int rank = 0; rank < place.size; ++rank) all.push_back(get(key("beat", rank)));
    return all;
  }
};

// Whoever reported its end; else whose heart has stopped; else who is behind in the sums.
PeerFailure ProcessGroup::State::blame(const std::string& what) {
  PeerFailure failure{{}, true, first_line(what)};
  try {
    const std::vector<std::string> before = beats();
    std::this_thread::sleep_for(kSilence);
    const std::vector<std::string> after = beats();
    for (int rank = 0; rank < place.size; ++rank)
      if (const std::string told = get(key("failed", rank)); !told.empty())
        return {{rank}, true, told};
    int64_t behind = sums.load();
    for (int rank = 0; rank < place.size; ++rank) {
      const auto i = static_cast<size_t>(rank);
      if (rank != place.rank && before[i] == after[i]) failure.ranks.push_back(rank);
    }
    if (!failure.ranks.empty()) return failure;
    failure.is_gone = false;
    for (int rank = 0; rank < place.size; ++rank) {
      const std::string& text = after[static_cast<size_t>(rank)];
      const int64_t begun = std::atoll(text.c_str() + text.find(' '));
      if (begun < behind) failure.ranks.push_back(rank);
    }
  } catch (const std::exception&) {
    failure = {{0}, true, first_line(what)};  // the store is in its process, or beside it
  }
  return failure;
}

ProcessGroup::ProcessGroup(const Rendezvous& place, double timeout_seconds)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.place = place;
  s.timeout = milliseconds(timeout_seconds);
  try {
    s.store = make_store(place, s.timeout);
    s.group = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", s.store), place.rank, place.size,
        c10d::ProcessGroupGloo::Options::create_default(s.timeout));
  } catch (const std::exception& e) {
    fail(
        "rank {} of {} ({}): the processes did not meet at {}:{} within {:.0f} s: {}. Is every one "
        "started, and can each reach that machine?",
        place.rank, place.size, place.source, place.host, place.port, timeout_seconds,
        first_line(e.what()));
  }
  s.beat(0);
  s.heart = std::thread([&s] { s.keep_beating(); });
}

ProcessGroup::~ProcessGroup() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->is_ending = true;
  }
  state_->ending.notify_all();
  if (state_->heart.joinable()) state_->heart.join();
}

void ProcessGroup::reduce(at::Tensor tensor, bool largest) {
  State& s = *state_;
  ++s.sums;
  c10d::AllreduceOptions options;
  options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
  options.timeout = s.timeout;
  std::vector<at::Tensor> tensors{std::move(tensor)};
  try {
    s.group->allreduce(tensors, options)->wait();
  } catch (const std::exception& e) {
    throw s.blame(e.what());
  }
}

void ProcessGroup::sum(at::Tensor tensor) {
  reduce(std::move(tensor), false);
}

int64_t ProcessGroup::largest(int64_t number) {
  const at::Tensor tensor = at::full({1}, number, at::kLong);
  reduce(tensor, true);
  return tensor.item<int64_t>();
}

void ProcessGroup::report_failure(const std::string& message) {
  try {
    state_->set(state_->key("failed", state_->place.rank), message);
  } catch (const std::exception&) {
    return;  // nobody can be told any more
  }
}

}  // namespace mtlora::backend
