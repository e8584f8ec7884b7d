#include "lib/generate/generate.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/core/signals.h"
#include "lib/generate/cache.h"

namespace mtlora {
namespace {

using Prompts = std::vector<std::vector<int32_t>>;

Tensor int64_tensor(const std::vector<int64_t>& values, torch::Device device) {
  return torch::tensor(values, torch::kLong).to(device);
}

// What names a prompt for sampling: its own tokens, wherever it stands.
uint64_t key_of(const std::vector<int32_t>& ids) {
  uint64_t key = 0;
  for (const int32_t id : ids) key = combine(key, static_cast<uint64_t>(id));
  return key;
}

// Some prompts decoded together by one thread.
class Batched {
 public:
  Batched(LanguageModel& model, const Prompts& prompts, std::vector<size_t> chosen,
          const GeneratePlan& plan)
      : model_(model), prompts_(prompts), chosen_(std::move(chosen)), plan_(plan) {
    auto offsets = std::make_shared<std::vector<int32_t>>(1, 0);
    for (const size_t i : chosen_) {
      const auto length = static_cast<int64_t>(prompts_[i].size());
      offsets->push_back(offsets->back() + static_cast<int32_t>(length));
      packing_.longest = std::max(packing_.longest, length);
      searches_.push_back(start_search(plan.decoding, plan.end, model.vocab_size(),
                                       key_of(prompts_[i]), prompts_[i]));
    }
    packing_.offsets = offsets;
  }

  void run(const std::function<void(size_t, const std::vector<int32_t>&)>& answered) {
    const auto beams = static_cast<int64_t>(chosen_.size()) * most_rows();
    Cache cache(model_.shape(), packing_, plan_.decoding.max_new_tokens, beams);
    choose(read(cache), answered);
    while (!rows_.empty()) {
      if (plan_.stop && plan_.stop()) throw Stopped();
      choose(write(cache), answered);
    }
  }

 private:
  struct Row {
    int32_t prompt, token, parent;
  };

  Tensor there(const std::vector<int64_t>& values) const {
    return int64_tensor(values, model_.device());
  }

  int64_t most_rows() const {
    const std::string& decoder = plan_.decoding.decoder;
    return decoder == "greedy" || decoder == "sample" ? 1 : plan_.decoding.beams;
  }

  // The logits after each prompt, [prompts, vocab].
  Tensor read(Cache& cache) {
    std::vector<int64_t> ids, positions, last;
    for (const size_t i : chosen_) {
      for (size_t t = 0; t < prompts_[i].size(); ++t) {
        ids.push_back(prompts_[i][t]);
        positions.push_back(static_cast<int64_t>(t));
      }
      last.push_back(static_cast<int64_t>(ids.size()) - 1);
    }
    const auto attend = cache.prefill();
    const Tensor hidden = model_.hidden(there(ids), there(positions), *attend, Pass{});
    for (size_t p = 0; p < chosen_.size(); ++p) rows_.push_back({static_cast<int32_t>(p), 0, 0});
    return model_.logits(hidden.index_select(0, there(last)));
  }

  // The logits after the rows' tokens, [rows, vocab].
  Tensor write(Cache& cache) {
    std::vector<int64_t> ids, positions;
    std::vector<int32_t> prompt, parent;
    for (const Row& row : rows_) {
      const std::vector<int32_t>& given = prompts_[chosen_[static_cast<size_t>(row.prompt)]];
      ids.push_back(row.token);
      positions.push_back(static_cast<int64_t>(given.size()) + written_);
      prompt.push_back(row.prompt);
      parent.push_back(row.parent);
    }
    ++written_;
    cache.next_step(std::move(prompt), parent);
    const auto attend = cache.step();
    return model_.logits(model_.hidden(there(ids), there(positions), *attend, Pass{}));
  }

  static void step(Search& search, const std::vector<const float*>& logits, size_t prompt) {
    try {
      search.step(logits);
    } catch (const Error& e) {
      throw PromptError(prompt, e.what());
    }
  }

  // Lets each search choose from its rows' logits, and lines up the rows of the next step.
  void choose(const Tensor& logits,
              const std::function<void(size_t, const std::vector<int32_t>&)>& answered) {
    const Tensor scores = logits.to(torch::kCPU, torch::kFloat).contiguous();
    const float* at = scores.data_ptr<float>();
    std::vector<Row> next;
    for (size_t begin = 0; begin < rows_.size();) {
      const int32_t prompt = rows_[begin].prompt;
      std::vector<const float*> mine;
      size_t end = begin;
      for (; end < rows_.size() && rows_[end].prompt == prompt; ++end)
        mine.push_back(at + static_cast<int64_t>(end) * scores.size(1));
      Search& search = *searches_[static_cast<size_t>(prompt)];
      step(search, mine, chosen_[static_cast<size_t>(prompt)]);
      for (size_t i = 0; i < search.next_tokens().size(); ++i)
        next.push_back(
            {prompt, search.next_tokens()[i], static_cast<int32_t>(begin) + search.parents()[i]});
      if (search.done()) answered(chosen_[static_cast<size_t>(prompt)], search.result());
      begin = end;
    }
    rows_ = std::move(next);
  }

  LanguageModel& model_;
  const Prompts& prompts_;
  std::vector<size_t> chosen_;
  const GeneratePlan& plan_;
  backend::Packing packing_;
  std::vector<std::unique_ptr<Search>> searches_;
  std::vector<Row> rows_;  // those of a prompt stand together
  int64_t written_ = 0;
};

void check(const LanguageModel& model, const Prompts& prompts, const GeneratePlan& plan) {
  // The last of the new tokens is written and not read.
  const int64_t room = model.longest() - (plan.decoding.max_new_tokens - 1);
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) throw PromptError(i, "it has no tokens");
    if (static_cast<int64_t>(prompts[i].size()) > room)
      throw PromptError(
          i,
          fmt::format("it has {} tokens, at most {} are allowed: the model reads {} in all, among "
                      "them all but the last of generate.max_new_tokens = {}",
                      prompts[i].size(), room, model.longest(), plan.decoding.max_new_tokens));
  }
}

}  // namespace

Prompts generate(LanguageModel& model, const Prompts& prompts, const GeneratePlan& plan,
                 backend::ShardPool& pool, const Answered& answered) {
  check(model, prompts, plan);
  std::vector<size_t> order(prompts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return prompts[a].size() > prompts[b].size(); });
  const auto size = static_cast<size_t>(plan.batch_size);
  Prompts out(prompts.size());
  std::mutex one_at_a_time;
  const auto take = [&](size_t prompt, const std::vector<int32_t>& ids) {
    out[prompt] = ids;
    const std::lock_guard lock(one_at_a_time);
    if (answered) answered(prompt, ids);
  };
  std::atomic<size_t> next = 0;
  std::atomic<bool> has_failed = false;
  pool.run([&](int) {
    const torch::NoGradGuard no_grad;
    try {
      for (size_t begin; !has_failed && (begin = size * next++) < order.size();) {
        const size_t end = std::min(begin + size, order.size());
        const auto at = order.begin() + static_cast<std::ptrdiff_t>(begin);
        Batched(model, prompts, {at, at + static_cast<std::ptrdiff_t>(end - begin)}, plan)
            .run(take);
      }
    } catch (...) {
      has_failed = true;  // the other threads need not write what nobody will read
      throw;
    }
  });
  return out;
}

}  // namespace mtlora
