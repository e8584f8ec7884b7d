// c10d's gloo. Every process beats twice a second into the store that all can read; when a sum
// fails, whoever is left looks whose heart has stopped. The store lies in the process of rank 0, or
// beside it: where that does not answer, nothing that asks it ever ends, so that nobody waits for
// an answer without a limit.
#define USE_C10D_GLOO
#include "lib/backend/process_group.h"

#include <c10/util/Logging.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "lib/core/error.h"

namespace mtlora::backend {
namespace {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
constexpr Milliseconds kBeat{500};
constexpr Milliseconds kSilence{2500};  // without a beat: gone, or stopped as a whole
constexpr Milliseconds kAnswer{5000};   // the store takes no longer, or does not answer any more

Milliseconds milliseconds(double seconds) {
  return Milliseconds(static_cast<int64_t>(1000 * seconds));
}

// What the library warns of, with pages of stack frames, is what we throw.
void quiet_library() {
  if (!std::getenv("TORCH_CPP_LOG_LEVEL")) FLAGS_caffe2_log_level = c10::GLOG_ERROR;
}

// Each start of torchrun's has keys of its own: its agent's store keeps those of the start before,
// and where its processes listened.
c10::intrusive_ptr<c10d::Store> make_store(const Rendezvous& place, Milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = place.rank == 0 && !place.store_is_there;
  options.numWorkers = static_cast<size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = timeout;
  return c10::make_intrusive<c10d::PrefixStore>(
      "mtlora/" + std::to_string(place.attempt),
      c10::make_intrusive<c10d::TCPStore>(place.host, options));
}

// "[/__w/pytorch/…/pair.cc:537] Read error [127.0.0.1]:5548: Connection reset by peer. This is
// typically caused by …": the middle.
std::string essence(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  if (const size_t end = line.find("] "); line.starts_with("[/") && end != std::string::npos)
    line.erase(0, end + 2);
  return line.substr(0, line.find(". This is typically"));
}

// "<beats> <sums begun>", or nothing yet.
std::string beat_text(int64_t beats, int64_t sums) {
  return std::to_string(beats) + " " + std::to_string(sums);
}
int64_t sums_begun(const std::string& beat) {
  const size_t blank = beat.find(' ');
  return blank == std::string::npos ? 0 : std::atoll(beat.c_str() + blank);
}

// In a thread that nobody has to wait for. What the work uses is its own, or shared with it.
std::future<void> started(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> end = task.get_future();
  std::thread(std::move(task)).detach();
  return end;
}

bool ends_within(Milliseconds limit, std::function<void()> work) {
  return started(std::move(work)).wait_for(limit) == std::future_status::ready;
}

}  // namespace

struct ProcessGroup::State {
  /// Why a sum failed, and whether that was before all its time had passed.
  struct FailedSum {
    std::string why;
    bool in_time;
  };

  Rendezvous place;
  Milliseconds timeout;
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group;
  std::atomic<int64_t> sums{0};  // begun by this process

  std::mutex mutex;
  std::condition_variable ending;
  bool is_ending = false;
  std::future<void> heart;

  std::string key(const char* what, int rank) const {
    return std::string(what) + "/" + std::to_string(rank);
  }
  void set(const std::string& name, const std::string& text) const {
    store->set(name, std::vector<uint8_t>(text.begin(), text.end()));
  }
  std::string get(const std::string& name) const {
    if (!store->check({name})) return "";
    const auto bytes = store->get(name);
    return {bytes.begin(), bytes.end()};
  }

  void beat(int64_t count) const { set(key("beat", place.rank), beat_text(count, sums.load())); }
  bool ends_before_the_next_beat() {
    std::unique_lock lock(mutex);
    return ending.wait_for(lock, kBeat, [&] { return is_ending; });
  }
  void keep_beating() {
    try {
      for (int64_t count = 1; !ends_before_the_next_beat(); ++count) beat(count);
    } catch (const std::exception&) {
      return;  // the store is gone: the next sum will say so
    }
  }

  PeerFailure blame(const FailedSum& sum) const;
  std::vector<std::string> all(const char* what) const {
    std::vector<std::string> texts;
    for (int rank = 0; rank < place.size; ++rank) texts.push_back(get(key(what, rank)));
    return texts;
  }
};

// Whoever reported a failure of its own; else whose heart has stopped, but those that have ended
// for others' sake; else who is behind in the sums.
PeerFailure ProcessGroup::State::blame(const FailedSum& sum) const {
  set(key("left", place.rank), "for others");
  const std::vector<std::string> before = all("beat");
  std::this_thread::sleep_for(kSilence);
  const std::vector<std::string> after = all("beat"), failed = all("failed"), left = all("left");
  const auto ranks = [&](const std::function<bool(size_t)>& are_meant) {
    std::vector<int> found;
    for (int rank = 0; rank < place.size; ++rank)
      if (rank != place.rank && are_meant(static_cast<size_t>(rank))) found.push_back(rank);
    return found;
  };
  const auto told = ranks([&](size_t i) { return !failed[i].empty(); });
  if (!told.empty()) return {{told[0]}, true, failed[static_cast<size_t>(told[0])]};
  const auto silent = ranks([&](size_t i) { return before[i] == after[i] && left[i].empty(); });
  if (!silent.empty()) return {silent, sum.in_time, sum.why};
  return {ranks([&](size_t i) { return sums_begun(after[i]) < sums.load(); }), false, sum.why};
}

ProcessGroup::ProcessGroup(const Rendezvous& place, double timeout_seconds)
    : state_(std::make_shared<State>()) {
  quiet_library();
  State& s = *state_;
  s.place = place;
  s.timeout = milliseconds(timeout_seconds);
  try {
    s.store = make_store(place, s.timeout);
    s.group = c10::make_intrusive<c10d::ProcessGroupGloo>(
        c10::make_intrusive<c10d::PrefixStore>("gloo", s.store), place.rank, place.size,
        c10d::ProcessGroupGloo::Options::create_default(s.timeout));
    // One that ends at once must not be gone while another still connects to it: what it reports
    // would not be heard.
    s.group->barrier()->wait();
  } catch (const std::exception& e) {
    fail(
        "rank {} of {} ({}): the processes did not meet at {}:{} within {:.0f} s: {}. Is every one "
        "started, and can each reach that machine?",
        place.rank, place.size, place.source, place.host, place.port, timeout_seconds,
        essence(e.what()));
  }
  s.beat(0);
  s.heart = started([state = state_] { state->keep_beating(); });
}

// Asks the store; where that does not answer it is rank 0, or its machine.
PeerFailure ProcessGroup::blame(const std::string& why, bool in_time) {
  others_failed_ = true;
  const auto found = std::make_shared<PeerFailure>(PeerFailure{{}, in_time, why});
  const auto first = state_->place.rank > 0 ? std::vector<int>{0} : std::vector<int>{};
  const bool is_answered = ends_within(kSilence + kAnswer, [=, state = state_] {
    try {
      *found = state->blame({why, in_time});
    } catch (const std::exception&) {
      found->ranks = first;
    }
  });
  hangs_ = !is_answered;
  return is_answered ? *found : PeerFailure{first, in_time, why};
}

ProcessGroup::~ProcessGroup() {
  {
    const std::scoped_lock lock(state_->mutex);
    state_->is_ending = true;
  }
  state_->ending.notify_all();
  const bool hangs = hangs_ || state_->heart.wait_for(kAnswer) != std::future_status::ready;
  if (hangs) return;  // a thread that waits for the store still holds both
  state_->group.reset();
  state_->store.reset();
}

void ProcessGroup::reduce(at::Tensor tensor, bool largest) {
  State& s = *state_;
  ++s.sums;
  c10d::AllreduceOptions options;
  options.reduceOp = largest ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
  options.timeout = s.timeout;
  std::vector<at::Tensor> tensors{std::move(tensor)};
  const auto begin = Clock::now();
  try {
    s.group->allreduce(tensors, options)->wait();
  } catch (const std::exception& e) {
    throw blame(essence(e.what()), Clock::now() - begin < s.timeout);
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
  if (others_failed_) return;  // it is theirs
  hangs_ = !ends_within(kAnswer, [message, state = state_] {
    try {
      state->set(state->key("failed", state->place.rank), message);
    } catch (const std::exception&) {
      return;  // nobody can be told any more
    }
  });
}

}  // namespace mtlora::backend
