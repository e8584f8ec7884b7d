// With NCCL and a GPU one process; with emulated devices several, which are threads. Several with
// NCCL: tests/end_to_end/devices_test.py.
#include "lib/backend/device_sums.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "lib/backend/cuda/nccl.h"
#include "lib/backend/process_group.h"
#include "lib/core/error.h"
#include "tests/support/agent.h"
#include "tests/support/device.h"
#include "tests/support/sleeper.h"

using namespace mtlora;
using namespace mtlora::test;
using backend::DeviceSums;
using backend::PeerFailure;
using backend::ProcessGroup;
using backend::cuda::Nccl;

namespace {

/// Whether there are devices for several processes; says so where not.
bool has_devices() {
  if (is_emulated()) return true;
  SUCCEED("skipped: emulated devices are needed (mtlora_emulated_tests)");
  return false;
}

/// What each of so many processes returns, or whom it blames: "1 gone: why".
using Work = std::function<std::string(int rank, ProcessGroup& group)>;
std::vector<std::string> start(int processes, double timeout_seconds, const Work& work) {
  return Agent().start<std::string>(processes, [&](const Rendezvous& place) -> std::string {
    ProcessGroup group(place, timeout_seconds);
    try {
      return work(place.rank, group);
    } catch (const PeerFailure& failure) {
      std::string ranks;
      for (const int rank : failure.ranks) ranks += std::to_string(rank) + " ";
      return ranks + (failure.is_gone ? "gone: " : "silent: ") + failure.message;
    } catch (const Error& e) {
      return std::string("error: ") + e.what();
    }
  });
}

void sum_ones(ProcessGroup& group) {
  group.sum_later({at::ones({3}), at::ones({}, at::kDouble)});
  group.check_later_sums();
}

}  // namespace

TEST_CASE("sums on devices come in the order of what else the device is asked for", "[backend]") {
  if (!Nccl::is_built() || !has_device()) {
    SUCCEED("skipped: NCCL and a GPU are needed");
    return;
  }
  DeviceSums sums(std::make_unique<Nccl>(Nccl::invitation(), 0, 1, 0), {},
                  std::chrono::seconds(30));
  const auto on_device = at::TensorOptions(the_device());
  at::Tensor x = at::zeros({1000}, on_device), loss = at::zeros({}, on_device.dtype(at::kDouble));
  for (int step = 0; step < 50; ++step) {
    x += 1;
    loss += 0.25;
    sums.ask({x, loss});
  }
  CHECK(at::equal(x.cpu(), at::full({1000}, 50.0F)));
  CHECK(loss.item<double>() == 12.5);
  CHECK_NOTHROW(sums.check());

  sums.end({"another is gone", true});
  for (const bool asks : {false, true}) try {
      asks ? sums.ask({x}) : sums.check();
      FAIL("the sums have ended");
    } catch (const backend::EndedSums& ended) {
      CHECK(ended.why == "another is gone");
      CHECK(ended.in_time);
    }
}

TEST_CASE("all processes get the sums of their devices", "[backend]") {
  if (!has_devices()) return;
  const auto said = start(3, 30, [](int rank, ProcessGroup& group) -> std::string {
    if (const std::string why = group.use_devices(0); !why.empty()) return why;
    if (!group.sums_on_devices()) return "not on devices";
    for (int step = 0; step < 20; ++step) {
      const at::Tensor x = at::full({2, 3}, rank + 0.5);
      const at::Tensor loss = at::full({}, step * (rank + 1.0), at::kDouble);
      group.sum_later({x, loss});
      group.check_later_sums();
      if (!at::equal(x, at::full({2, 3}, 4.5F)) || loss.item<double>() != 6.0 * step)
        return "a wrong sum";
    }
    return "";
  });
  CHECK(said == std::vector<std::string>(3));
}

TEST_CASE("devices that processes share do not sum", "[backend]") {
  if (!has_devices()) return;
  setenv("NCCL_HOSTID", "the same", 1);
  const auto said = start(2, 30, [](int, ProcessGroup& group) {
    return group.use_devices(0) + (group.sums_on_devices() ? " on devices" : "");
  });
  unsetenv("NCCL_HOSTID");
  CHECK(said == std::vector<std::string>(2, "several processes share a GPU"));
}

TEST_CASE("devices do not wait for one that cannot meet them", "[backend]") {
  if (!has_devices()) return;
  setenv("MTLORA_TEST_NCCL_FAILS", "1", 1);
  const auto said = start(3, 60, [](int, ProcessGroup& group) { return group.use_devices(0); });
  unsetenv("MTLORA_TEST_NCCL_FAILS");
  for (const std::string& one : said)
    CHECK_THAT(one, Catch::Matchers::StartsWith(
                        "error: the GPUs did not meet: rank 1: NCCL: no network; NCCL_DEBUG"));
}

TEST_CASE("a device does not wait for a process that has failed", "[backend]") {
  if (!has_devices()) return;
  const auto said = start(3, 60, [](int rank, ProcessGroup& group) -> std::string {
    group.use_devices(0);
    sum_ones(group);
    if (rank == 1) {
      group.report_failure("the disk is full");
      return "";
    }
    sum_ones(group);
    return "";
  });
  CHECK(said ==
        std::vector<std::string>{"1 gone: the disk is full", "", "1 gone: the disk is full"});
}

TEST_CASE("a device waits for a process that is behind as long as it may", "[backend]") {
  if (!has_devices()) return;
  for (const bool comes : {true, false}) {
    CAPTURE(comes);
    const auto said = start(2, 2, [=](int rank, ProcessGroup& group) -> std::string {
      group.use_devices(0);
      if (rank == 1) std::this_thread::sleep_for(std::chrono::milliseconds(comes ? 1000 : 5500));
      if (rank == 0 || comes) sum_ones(group);
      return "";
    });
    if (comes)
      CHECK(said[0].empty());
    else
      CHECK_THAT(said[0], Catch::Matchers::StartsWith("1 silent: "));
  }
}

TEST_CASE("a device does not wait for a process that has ended", "[backend]") {
  if (!has_devices()) return;
  const Sleeper asleep;
  const std::string invitation = Nccl::invitation();
  std::unique_ptr<Nccl> other;
  std::thread joins([&] { other = std::make_unique<Nccl>(invitation, 1, 2, 0); });
  DeviceSums sums(std::make_unique<Nccl>(invitation, 0, 2, 0), {asleep.mark()},
                  std::chrono::seconds(30));
  joins.join();
  std::thread kills([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    asleep.kill();
  });
  sums.ask({at::ones({3})});
  kills.join();
  try {
    sums.check();
    FAIL("the sum has no other side");
  } catch (const backend::EndedSums& ended) {
    CHECK(ended.in_time);
    CHECK_FALSE(ended.is_own);
  }
}
