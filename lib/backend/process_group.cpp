// c10d's gloo.
#define USE_C10D_GLOO
#include "lib/backend/process_group.h"

#include <c10/util/Logging.h>

#include <cstdlib>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <utility>

#include "lib/backend/process_state.h"
#include "lib/core/error.h"

namespace mtlora::backend {
namespace {

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

}  // namespace

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
  hangs_ |= !is_answered;
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
  state_->devices.reset();
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
  hangs_ |= !ends_within(kAnswer, [message, state = state_] {
    try {
      state->set(state->key("failed", state->place.rank), message);
      state->set("broken", "yes");
    } catch (const std::exception&) {
      return;  // nobody can be told any more
    }
  });
}

}  // namespace mtlora::backend
