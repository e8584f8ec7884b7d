#include "lib/backend/process_group.h"

#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

using namespace mtlora;
using backend::PeerFailure;
using backend::ProcessGroup;

namespace {

// What torchrun's agent keeps, for all processes that it starts, and starts anew.
class Agent {
 public:
  Agent() {
    c10d::TCPStoreOptions options;
    options.port = 0;  // one that is free
    options.isServer = true;
    options.waitWorkers = false;
    store_ = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }

  /// Calls work(rank, group) in a thread for each of so many processes; what each returns.
  using Work = std::function<std::string(int rank, ProcessGroup& group)>;
  std::vector<std::string> start(int processes, const Work& work) {
    std::vector<std::future<std::string>> ends;
    for (int rank = 0; rank < processes; ++rank)
      ends.push_back(std::async(std::launch::async, [=, this] {
        // those of before are not asked where they listened, though they come first
        if (attempt_ > 0 && rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
        ProcessGroup group(place(rank, processes), 30);
        return work(rank, group);
      }));
    std::vector<std::string> said;
    for (auto& end : ends) said.push_back(end.get());
    ++attempt_;
    return said;
  }

 private:
  Rendezvous place(int rank, int processes) const {
    Rendezvous r;
    r.rank = r.local_rank = rank;
    r.size = r.local_size = processes;
    r.port = store_->getPort();
    r.store_is_there = true;
    r.attempt = attempt_;
    r.source = "a test";
    return r;
  }

  c10::intrusive_ptr<c10d::TCPStore> store_;
  int attempt_ = 0;
};

// "" or whom a sum that fails is laid to: "1, 2 are gone: why".
std::string sum_or_blame(ProcessGroup& group) {
  try {
    group.sum(at::ones({3}));
    return "";
  } catch (const PeerFailure& failure) {
    std::string ranks;
    for (const int rank : failure.ranks)
      ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
    return ranks + (failure.is_gone ? " gone: " : " silent: ") + failure.message;
  }
}

}  // namespace

TEST_CASE("processes that are started anew know nothing of those before", "[backend]") {
  Agent agent;
  const auto first = agent.start(2, [](int rank, ProcessGroup& group) {
    if (rank == 0) return sum_or_blame(group);
    group.report_failure("the disk is full");
    return std::string();
  });
  CHECK(first[0] == "1 gone: the disk is full");
  for (int attempt = 1; attempt <= 3; ++attempt)
    CHECK(agent.start(2, [](int, ProcessGroup& group) { return sum_or_blame(group); }) ==
          std::vector<std::string>(2));
  const auto last = agent.start(2, [](int rank, ProcessGroup& group) {
    return rank == 0 ? sum_or_blame(group) : std::string();
  });
  CHECK_THAT(last[0], Catch::Matchers::StartsWith("1 gone: "));
  CHECK_THAT(last[0], !Catch::Matchers::Contains("disk"));
}

TEST_CASE("who ends for another's sake is not to blame", "[backend]") {
  Agent agent;
  const auto said = agent.start(4, [](int rank, ProcessGroup& group) {
    if (rank == 2) return std::string();
    const std::string blamed = sum_or_blame(group);
    group.report_failure("another is gone");
    return blamed;
  });
  for (const int rank : {0, 1, 3}) {
    CHECK_THAT(said[static_cast<size_t>(rank)], Catch::Matchers::StartsWith("2 gone: "));
    // neither where it was built nor what is no help
    CHECK_THAT(said[static_cast<size_t>(rank)],
               !Catch::Matchers::Contains("pair.cc") && !Catch::Matchers::Contains("GLHF"));
  }
}
