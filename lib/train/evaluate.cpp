#include "lib/train/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "lib/core/error.h"
#include "lib/metrics/metric.h"
#include "lib/nn/loss.h"
#include "lib/train/device_batch.h"
#include "lib/train/objective.h"

namespace mtlora {
namespace {

// Tokens of a batch on a CPU: what a layer leaves of so many is in the caches when the next one
// reads it. Of more, a text takes a third longer (MiniLM, 29,000 tokens).
constexpr int64_t kTokensInCaches = 1024;

// Batches of examples of like length, longest first: of `batch_size`, and on a CPU of fewer where
// they are long.
std::vector<std::vector<Item>> batches_by_length(const EncodedSet& set, int64_t batch_size,
                                                 torch::Device device) {
  const int64_t most = device.is_cpu() ? kTokensInCaches : std::numeric_limits<int64_t>::max();
  std::vector<int64_t> order(static_cast<size_t>(set.size()));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return set.length(a) > set.length(b); });
  std::vector<std::vector<Item>> batches;
  int64_t tokens = 0;  // of the last batch
  for (const int64_t index : order) {
    const int64_t length = set.length(index);
    if (batches.empty() || static_cast<int64_t>(batches.back().size()) == batch_size ||
        tokens > most - length) {
      batches.emplace_back();
      tokens = 0;
    }
    batches.back().push_back({index, index});
    tokens += length;
  }
  return batches;
}

// Calls work(i) for this process's batches, on all threads. Batches shrink: taking every n-th gives
// each thread of each process long and short ones alike.
template <class Work>
void for_each_batch(size_t batches, backend::ShardPool& pool, const World* world,
                    const Work& work) {
  const auto threads = static_cast<size_t>(pool.threads());
  const auto processes = static_cast<size_t>(world ? world->size() : 1);
  const size_t first = world ? static_cast<size_t>(world->rank()) * threads : 0;
  pool.run([&](int shard) {
    const torch::NoGradGuard no_grad;
    for (size_t i = first + static_cast<size_t>(shard); i < batches; i += processes * threads)
      work(i);
  });
}

Predictions predictions_of(const Tensor& logits, const EncodedSet& set, const TaskInfo& task) {
  Predictions predictions;
  for (int64_t i = 0; i < set.size(); ++i) predictions.labels.push_back(set.label(i));
  if (task.kind == TaskKind::regression) {
    const Tensor values = logits.squeeze(-1).to(torch::kDouble).contiguous();
    predictions.values.assign(values.data_ptr<double>(),
                              values.data_ptr<double>() + values.numel());
  } else {
    const Tensor classes = logits.argmax(-1).contiguous();
    predictions.classes.assign(classes.data_ptr<int64_t>(),
                               classes.data_ptr<int64_t>() + classes.numel());
  }
  return predictions;
}

double mean_loss(const Tensor& logits, const EncodedSet& set, const TaskInfo& task) {
  std::vector<double> labels;
  for (int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  const Tensor truth = torch::tensor(labels, torch::kDouble);
  const Tensor given = logits.to(torch::kDouble);
  if (task.kind == TaskKind::regression)
    return at::mse_loss(given.squeeze(-1), truth).item<double>();
  return at::cross_entropy_loss(given, truth.to(torch::kLong)).item<double>();
}

// Of a batch of the CPU: neither key nor share, which are training's.
Tensor pass_over(const Batch& batch, RecordedPasses& passes) {
  return passes.run(batch, 0, 1)[0].clone();  // the next pass writes where this one did
}

}  // namespace

std::unique_ptr<RecordedPasses> recorded_evaluation(Classifier& model, bool repeats) {
  return std::make_unique<RecordedPasses>(
      model, repeats, [&model](const RecordedPasses::Given& given) {
        const torch::NoGradGuard no_grad;
        return std::vector{model.logits(given.batch, Pass{false, 0, given.batch.rows})};
      });
}

std::unique_ptr<RecordedPasses> recorded_evaluation(LanguageModel& model, bool repeats) {
  return std::make_unique<RecordedPasses>(
      model, repeats, [&model](const RecordedPasses::Given& given) {
        const torch::NoGradGuard no_grad;
        return std::vector{text_loss(model, given.batch, Pass{false, 0, given.batch.rows}, 0)};
      });
}

Tensor predict_logits(Classifier& model, const EncodedSet& set, backend::ShardPool& pool,
                      const EvaluateOptions& options) {
  const torch::NoGradGuard no_grad;
  const auto batches = batches_by_length(set, options.batch_size, model.device());
  if (batches.empty()) fail("there is nothing to evaluate");
  std::vector<Tensor> logits(batches.size());
  for_each_batch(batches.size(), pool, options.world, [&](size_t i) {
    const Batch batch = collate(set, batches[i], options.collate);
    if (options.recorded) {
      logits[i] = pass_over(batch, *options.recorded);
      return;
    }
    const Batch there = on_device(batch, model.device());
    logits[i] = model.logits(there, Pass{false, 0, there.rows});
  });
  // Every row is one process's and zero in the others: the sum is that process's bits.
  const Tensor out = torch::zeros({set.size(), model.outputs()});
  for (size_t i = 0; i < batches.size(); ++i) {
    if (!logits[i].defined()) continue;
    std::vector<int64_t> index;
    for (const Item& item : batches[i]) index.push_back(item.index);
    out.index_copy_(0, torch::tensor(index, torch::kLong),
                    logits[i].to(torch::kCPU, torch::kFloat));
  }
  if (options.world) options.world->sum(out);
  return out;
}

Evaluation evaluate_texts(LanguageModel& model, const EncodedSet& set, backend::ShardPool& pool,
                          const EvaluateOptions& options) {
  const auto batches = batches_by_length(set, options.batch_size, model.device());
  std::vector<Tensor> losses(batches.size());
  for_each_batch(batches.size(), pool, options.world, [&](size_t i) {
    const Batch batch = collate_text(set, batches[i]);
    if (options.recorded) {
      losses[i] = pass_over(batch, *options.recorded);
      return;
    }
    const Batch there = on_device(batch, model.device());
    losses[i] = text_loss(model, there, Pass{false, 0, there.rows}, 0);
  });
  std::vector<double> sums(batches.size());
  for (size_t i = 0; i < batches.size(); ++i)
    if (losses[i].defined()) sums[i] = losses[i].item<double>();
  if (options.world) options.world->sum(std::span<double>(sums));
  int64_t targets = 0;
  for (int64_t i = 0; i < set.size(); ++i) targets += set.targets(i);
  if (targets == 0) fail("there is nothing to evaluate");
  const double loss = std::accumulate(sums.begin(), sums.end(), 0.0) / static_cast<double>(targets);
  return {{}, loss, set.size()};
}

double Evaluation::value(const std::string& name) const {
  if (name == "loss") return loss;
  for (const auto& [metric_name, number] : metrics)
    if (metric_name == name) return number;
  fail("the metric \"{}\" is not one of the task's", name);
}

Json Evaluation::metrics_json() const {
  Json json = Json::object();
  for (const auto& [name, number] : metrics)
    json[name] = std::isfinite(number) ? Json(number) : Json();
  return json;
}

Evaluation evaluate(Classifier& model, const EncodedSet& set, const TaskInfo& task,
                    backend::ShardPool& pool, const EvaluateOptions& options) {
  for (int64_t i = 0; i < set.size(); ++i)
    if (std::isnan(set.label(i)))
      fail("example {} (counted from 0) has no label: this split can be predicted, not evaluated",
           i);
  const Tensor logits = predict_logits(model, set, pool, options);
  Evaluation evaluation{{}, mean_loss(logits, set, task), set.size()};
  const Predictions predictions = predictions_of(logits, set, task);
  for (const std::string& name : task.metrics)
    evaluation.metrics.emplace_back(name, metric(name).compute(predictions));
  return evaluation;
}

}  // namespace mtlora
