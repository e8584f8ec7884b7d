#include "lib/backend/process_group.h"

#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <string>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

using namespace mtlora;
using backend::PeerFailure;
using backend::ProcessGroup;

namespace {

// What torchrun's agent keeps for all processes that it starts.
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
        ProcessGroup group(place(rank, processes), 30);
        return work(rank, group);
      }));
    std::vector<std::string> said;
    for (auto& end : ends) said.push_back(end.get());
    return said;
  }

 private:
  Rendezvous place(int rank, int processes) const {
    Rendezvous r;
    r.rank = r.local_rank = rank;
    r.size = r.local_size = processes;
    r.port = store_->getPort();
    r.store_is_there = true;
    r.source = "a test";
    return r;
  }

  c10::intrusive_ptr<c10d::TCPStore> store_;
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
