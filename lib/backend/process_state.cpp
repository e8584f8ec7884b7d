#include "lib/backend/process_state.h"

#include <cstdlib>
#include <thread>
#include <utility>

namespace mtlora::backend {
namespace {

// "<beats> <sums begun>", or nothing yet.
std::string beat_text(int64_t beats, int64_t sums) {
  return std::to_string(beats) + " " + std::to_string(sums);
}
int64_t sums_begun(const std::string& beat) {
  const size_t blank = beat.find(' ');
  return blank == std::string::npos ? 0 : std::atoll(beat.c_str() + blank);
}

}  // namespace

std::future<void> started(std::function<void()> work) {
  std::packaged_task<void()> task(std::move(work));
  std::future<void> end = task.get_future();
  std::thread(std::move(task)).detach();
  return end;
}

bool ends_within(Milliseconds limit, std::function<void()> work) {
  return started(std::move(work)).wait_for(limit) == std::future_status::ready;
}

// "[/__w/pytorch/…/pair.cc:537] Read error [127.0.0.1]:5548: Connection reset by peer. This is
// typically caused by …": the middle.
std::string essence(const std::string& text) {
  std::string line = text.substr(0, text.find('\n'));
  if (const size_t end = line.find("] "); line.starts_with("[/") && end != std::string::npos)
    line.erase(0, end + 2);
  return line.substr(0, line.find(". This is typically"));
}

std::string ProcessGroup::State::key(const char* what, int rank) const {
  return std::string(what) + "/" + std::to_string(rank);
}

void ProcessGroup::State::set(const std::string& name, const std::string& text) const {
  store->set(name, std::vector<uint8_t>(text.begin(), text.end()));
}

std::string ProcessGroup::State::get(const std::string& name) const {
  if (!store->check({name})) return "";
  const auto bytes = store->get(name);
  return {bytes.begin(), bytes.end()};
}

std::vector<std::string> ProcessGroup::State::all(const char* what) const {
  std::vector<std::string> texts;
  for (int rank = 0; rank < place.size; ++rank) texts.push_back(get(key(what, rank)));
  return texts;
}

void ProcessGroup::State::beat(int64_t count) const {
  set(key("beat", place.rank), beat_text(count, sums.load()));
}

bool ProcessGroup::State::ends_before_the_next_beat() {
  std::unique_lock lock(mutex);
  return ending.wait_for(lock, kBeat, [&] { return is_ending; });
}

void ProcessGroup::State::keep_beating() {
  try {
    for (int64_t count = 1; !ends_before_the_next_beat(); ++count) {
      beat(count);
      end_devices_of_a_broken_run();
    }
  } catch (const std::exception&) {
    return;  // the store is gone: the next sum will say so
  }
}

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

}  // namespace mtlora::backend
