#include "lib/backend/process_group.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/agent.h"

using namespace mtlora;
using backend::PeerFailure;
using backend::ProcessGroup;
using test::Agent;

namespace {

/// work(rank, group) in each of so many processes; what each returns.
std::vector<std::string> start(
    Agent& agent, int processes,
    const std::function<std::string(int rank, ProcessGroup& group)>& work) {
  return agent.start<std::string>(processes, [&](const Rendezvous& place) {
    // those of before are not asked where they listened, though they come first
    if (place.attempt > 0 && place.rank > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
    ProcessGroup group(place, 30);
    return work(place.rank, group);
  });
}

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
  const auto first = start(agent, 2, [](int rank, ProcessGroup& group) {
    if (rank == 0) return sum_or_blame(group);
    group.report_failure("the disk is full");
    return std::string();
  });
  CHECK(first[0] == "1 gone: the disk is full");
  for (int attempt = 1; attempt <= 3; ++attempt)
    CHECK(start(agent, 2, [](int, ProcessGroup& group) { return sum_or_blame(group); }) ==
          std::vector<std::string>(2));
  const auto last = start(agent, 2, [](int rank, ProcessGroup& group) {
    return rank == 0 ? sum_or_blame(group) : std::string();
  });
  CHECK_THAT(last[0], Catch::Matchers::StartsWith("1 gone: "));
  CHECK_THAT(last[0], !Catch::Matchers::Contains("disk"));
}

TEST_CASE("who ends for another's sake is not to blame", "[backend]") {
  Agent agent;
  const auto said = start(agent, 4, [](int rank, ProcessGroup& group) {
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
