// What torchrun's agent is to its processes, which are threads here: a store that all find each
// other in, and that stays when they are started anew.
#pragma once

#include <functional>
#include <future>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "lib/core/rendezvous.h"

namespace mtlora::test {

class Agent {
 public:
  Agent() {
    c10d::TCPStoreOptions options;
    options.port = 0;  // one that is free
    options.isServer = true;
    options.waitWorkers = false;
    store_ = c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
  }

  /// work(place), in a thread for each of so many processes; what each returns.
  template <class Result>
  std::vector<Result> start(int processes, const std::function<Result(const Rendezvous&)>& work) {
    std::vector<std::future<Result>> ends;
    for (int rank = 0; rank < processes; ++rank)
      ends.push_back(std::async(std::launch::async, work, place(rank, processes)));
    std::vector<Result> results;
    for (auto& end : ends) results.push_back(end.get());
    ++attempt_;
    return results;
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

}  // namespace mtlora::test
