// Sums on the GPUs of several processes: which of them have a GPU that NCCL serves, and how these
// meet.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "lib/backend/cuda/nccl.h"
#include "lib/backend/process_state.h"
#include "lib/core/error.h"
#include "lib/core/processes.h"

namespace mtlora::backend {
namespace {

// In the place of a device's name: why NCCL does not serve it.
constexpr std::string_view kNone = "none: ";

std::string nccl_device() {
  const char* wanted = std::getenv("MTLORA_NCCL");
  if (wanted && std::string_view(wanted) == "off") return std::string(kNone) + "MTLORA_NCCL=off";
  if (wanted) fail("MTLORA_NCCL={}: wanted \"off\", or nothing", wanted);
  if (!cuda::Nccl::is_built()) return std::string(kNone) + "mtlora is built without NCCL";
  return cuda::Nccl::device();
}

}  // namespace

std::shared_ptr<DeviceSums> ProcessGroup::State::devices_in_use() {
  const std::scoped_lock lock(mutex);
  return devices;
}

// A process of another machine that fails is not seen by its mark.
void ProcessGroup::State::end_devices_of_a_broken_run() {
  const std::shared_ptr<DeviceSums> in_use = devices_in_use();
  if (in_use && store->check({"broken"})) in_use->end({"another process has failed", true});
}

// NCCL's first words are of rank 0.
void ProcessGroup::State::meet(Meeting& meeting, int device) const {
  try {
    if (place.rank == 0) set("invitation", cuda::Nccl::invitation());
    const auto invitation = store->get("invitation");  // waits for it
    meeting.nccl = std::make_unique<cuda::Nccl>(std::string(invitation.begin(), invitation.end()),
                                                place.rank, place.size, device);
  } catch (const std::exception& e) {
    meeting.fault = fmt::format("rank {}: {}", place.rank, essence(e.what()));
  }
}

// Why the GPUs will not meet; "": nothing is known against it.
std::string ProcessGroup::State::first_fault() const {
  const std::vector<std::string> marks = all("process");
  if (const std::string fault = get("fault"); !fault.empty()) return fault;
  const bool is_broken =
      store->check({"broken"}) || std::any_of(marks.begin(), marks.end(), has_ended);
  return is_broken ? "another process has ended" : "";
}

// What the store says, or blame for rank 0, which it is with.
template <class Ask>
auto ProcessGroup::answer(Ask&& ask) const {
  const auto found = std::make_shared<std::optional<decltype(ask(*state_))>>();
  ends_within(kAnswer, [=, state = state_] {
    try {
      *found = ask(*state);
    } catch (const std::exception&) {
      return;  // it is gone
    }
  });
  if (found->has_value()) return **found;
  throw PeerFailure{{0}, true, "it does not answer"};
}

std::string ProcessGroup::use_devices(int device) {
  const std::string mine = nccl_device();
  answer([=](const State& s) {
    s.set(s.key("device", s.place.rank), mine);
    s.set(s.key("process", s.place.rank), process_mark());
    return true;
  });
  largest(0);  // all have
  const auto devices = answer([](const State& s) { return s.all("device"); });
  for (const std::string& found : devices)
    if (found.starts_with(kNone)) return found.substr(kNone.size());
  const std::set<std::string> different(devices.begin(), devices.end());
  if (different.size() < devices.size()) return "several processes share a GPU";
  meet_devices(device);
  return "";
}

// NCCL waits for those that are missing without a limit: they say why, or nothing.
void ProcessGroup::meet_devices(int device) {
  State& s = *state_;
  const auto meeting = std::make_shared<Meeting>();
  const std::future<void> end = started([=, state = state_] { state->meet(*meeting, device); });
  const auto deadline = Clock::now() + s.timeout;
  std::string fault;
  while (end.wait_for(kBeat) != std::future_status::ready) {
    fault = answer([](const State& state) { return state.first_fault(); });
    if (fault.empty() && Clock::now() > deadline)
      fault = fmt::format("not within {:.0f} s", static_cast<double>(s.timeout.count()) / 1000);
    if (fault.empty()) continue;
    hangs_ = true;
    break;
  }
  if (fault.empty()) fault = meeting->fault;
  if (!fault.empty()) {
    answer([=](const State& state) { return state.set("fault", fault), true; });
    fail("the GPUs did not meet: {}; NCCL_DEBUG=INFO tells more, MTLORA_NCCL=off does without",
         fault);
  }
  std::vector<std::string> others = answer([](const State& state) { return state.all("process"); });
  others.erase(others.begin() + s.place.rank);
  const std::scoped_lock lock(s.mutex);
  s.devices = std::make_shared<DeviceSums>(std::move(meeting->nccl), std::move(others), s.timeout);
}

bool ProcessGroup::sums_on_devices() const {
  return state_->devices_in_use() != nullptr;
}

void ProcessGroup::explain(const EndedSums& end) {
  if (end.is_own) fail("rank {} of {}: {}", state_->place.rank, state_->place.size, end.why);
  throw blame(end.why, end.in_time);
}

void ProcessGroup::sum_later(const std::vector<at::Tensor>& tensors) {
  ++state_->sums;
  try {
    state_->devices_in_use()->ask(tensors);
  } catch (const EndedSums& end) {
    explain(end);
  }
}

void ProcessGroup::check_later_sums() {
  try {
    state_->devices_in_use()->check();
  } catch (const EndedSums& end) {
    explain(end);
  }
}

}  // namespace mtlora::backend
