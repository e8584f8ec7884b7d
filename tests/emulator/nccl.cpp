// NCCL among threads, in place of lib/backend/cuda/absent_nccl.cpp: each is a process with a device
// of its own. A sum is made where it is asked for, so that whoever asks waits for the others, as a
// device would.
#include "lib/backend/cuda/nccl.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

namespace mtlora::backend::cuda {
namespace {

/// Those who have an invitation.
struct Meeting {
  int size = 0, joined = 0;
  std::vector<std::vector<double>> given;  ///< of each rank to the sum that is being made
  int given_by = 0;
  int64_t sums = 0;  ///< made
  std::vector<double> last;
};

// Never destroyed: threads may wait for good.
std::mutex& mutex = *new std::mutex;
std::condition_variable& changed = *new std::condition_variable;

std::shared_ptr<Meeting> meeting_of(const std::string& invitation, int size) {
  static std::map<std::string, std::shared_ptr<Meeting>> all;
  std::shared_ptr<Meeting>& meeting = all[invitation];
  if (!meeting) meeting = std::make_shared<Meeting>();
  meeting->size = size;
  meeting->given.resize(static_cast<size_t>(size));
  return meeting;
}

template <class Work>
void for_each_number(std::span<const Numbers> all, Work&& work) {
  size_t i = 0;
  for (const Numbers& n : all)
    for (int64_t at = 0; at < n.count; ++at, ++i) {
      if (n.is_double)
        work(static_cast<double*>(n.data)[at], i);
      else
        work(static_cast<float*>(n.data)[at], i);
    }
}

void make_sum(Meeting& m) {
  m.last.assign(m.given[0].size(), 0);
  for (const auto& numbers : m.given)
    for (size_t i = 0; i < numbers.size(); ++i) m.last[i] += numbers[i];
  m.given_by = 0;
  ++m.sums;
}

}  // namespace

struct Nccl::State {
  std::shared_ptr<Meeting> meeting;
  size_t rank = 0;
  int64_t sums = 0, done = 0;
  bool is_abandoned = false;
};

bool Nccl::is_built() {
  return true;
}

std::string Nccl::device() {
  if (const char* host = std::getenv("NCCL_HOSTID")) return host;
  std::ostringstream text;
  text << std::this_thread::get_id();
  return text.str();
}

std::string Nccl::invitation() {
  static std::atomic<int> count = 0;
  return "meeting " + std::to_string(++count);
}

// MTLORA_TEST_NCCL_FAILS names a rank that does not come.
Nccl::Nccl(const std::string& invitation, int rank, int size, int) : state_(new State) {
  const char* fails = std::getenv("MTLORA_TEST_NCCL_FAILS");
  if (fails && fails == std::to_string(rank)) {
    delete state_;
    throw NcclFailure("NCCL: no network", false);
  }
  std::unique_lock lock(mutex);
  state_->meeting = meeting_of(invitation, size);
  state_->rank = static_cast<size_t>(rank);
  ++state_->meeting->joined;
  changed.notify_all();
  changed.wait(lock, [&] { return state_->meeting->joined == size; });
}

Nccl::~Nccl() {
  delete state_;
}

void Nccl::sum(std::span<const Numbers> all, Stream) {
  State& s = *state_;
  Meeting& m = *s.meeting;
  std::unique_lock lock(mutex);
  std::vector<double>& mine = m.given[s.rank];
  mine.clear();
  for_each_number(all, [&](auto& number, size_t) { mine.push_back(number); });
  const int64_t before = m.sums;
  ++s.sums;
  if (++m.given_by == m.size) make_sum(m);
  changed.notify_all();
  changed.wait(lock, [&] { return m.sums > before || s.is_abandoned; });
  if (s.is_abandoned) return;
  ++s.done;
  for_each_number(all, [&](auto& number, size_t i) {
    number = static_cast<std::remove_reference_t<decltype(number)>>(m.last[i]);
  });
}

int64_t Nccl::under_way() {
  const std::scoped_lock lock(mutex);
  return state_->done == state_->sums ? -1 : state_->done;
}

void Nccl::check() {}

void Nccl::abandon() {
  const std::scoped_lock lock(mutex);
  state_->is_abandoned = true;
  changed.notify_all();
}

}  // namespace mtlora::backend::cuda
