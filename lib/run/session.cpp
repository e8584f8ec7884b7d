#include "lib/run/session.h"

#include <algorithm>

#include "lib/backend/cuda/runtime.h"
#include "lib/core/cores.h"
#include "lib/core/error.h"
#include "lib/core/files.h"
#include "lib/core/log.h"
#include "lib/data/task.h"
#include "lib/metrics/metric.h"
#include "lib/nn/names.h"
#include "lib/run/device.h"
#include "lib/run/environment.h"
#include "lib/run/own_head.h"
#include "lib/train/checkpoint.h"

namespace mtlora {
namespace fs = std::filesystem;
namespace {

EncodedSet with_warning(EncodedSet set, const std::string& split, int64_t max_length) {
  if (set.truncated() > 0)
    log::warn(
        fmt::format("{} of {} examples of {} are longer than {} tokens and were cut "
                    "(train.max_length)",
                    set.truncated(), set.size(), split, max_length));
  if (set.overlong() > 0)
    log::warn(
        fmt::format("{} of {} examples of {} left out, whose contexts leave no room for a text "
                    "(train.max_length):\n{}",
                    set.overlong(), set.overlong() + set.size(), split, set.overlong_texts()));
  return set;
}

void warn_of_malformed(size_t count, const std::string& split, const std::string& rows) {
  if (count > 0)
    log::warn(fmt::format("{} malformed rows of {} were left out:\n{}", count, split, rows));
}

}  // namespace

Model& Session::model() const {
  if (classifier) return *classifier;
  return *language_model;
}

std::string Session::place() const {
  if (!device.is_cpu()) return backend::cuda::device_name();
  return fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

Json Session::computes() const {
  Json all = {{"device", device.is_cpu() ? "cpu" : "cuda"},
              {"dtype", type_name()},
              {"threads", pool->threads() * (world ? world->size() : 1)}};
  if (world && world->size() > 1) all["sums"] = world->sums_on_devices() ? "NCCL" : "gloo";
  return all;
}

Json Session::environment() const {
  return mtlora::environment(type_name(), threads,
                             device.is_cpu() ? "" : backend::cuda::device_name());
}

void Session::wait() const {
  if (!device.is_cpu()) backend::cuda::wait();
}

void Session::require_labels(const char* command) const {
  if (!task) fail("{}: the task {} asks for texts; use generate", command, text_task->info().name);
}

CollateOptions Session::collate() const {
  return {task && task->info().kind == TaskKind::regression, 1};
}

EvaluateOptions Session::evaluate() const {
  return {collate(), options.train.evaluation_batch_size, world, recorded.get()};
}

EncodedSet Session::encoded(const Dataset& data) const {
  warn_of_malformed(data.malformed, data.split, data.malformed_rows);
  const EncodeOptions encode{options.train.max_length, threads};
  return with_warning(EncodedSet(data, task->info().has_pair, *tokenizer, encode), data.split,
                      encode.max_length);
}

bool is_tied_embedding(const Session& s, const NamedTensor& t) {
  return s.language_model && t.parameter.is_same(s.language_model->head()) &&
         t.name != "lm_head.weight";
}

void tell(const TextData& data) {
  for (const std::string& note : data.notes) log::info(note);
  warn_of_malformed(data.malformed, data.split, data.malformed_rows);
}

EncodedSet Session::encoded(const TextData& data) const {
  const EncodeOptions encode{options.train.max_length, threads, options.train.max_overlong};
  return with_warning(EncodedSet(data, *tokenizer, encode), data.split, encode.max_length);
}

std::string parameters_text(Model& model) {
  struct Row {
    std::string name;
    int64_t trained = 0, total = 0;
  };
  std::vector<Row> rows;
  Row all{"all", 0, 0};
  for (const NamedTensor& t : named_tensors(model)) {
    // "bert.encoder.layer.*.attention.self.query": the layers of one kind together
    std::string name = t.name.substr(0, t.name.rfind('.'));
    for (size_t at = 0; (at = name.find('.', at)) != std::string::npos; ++at)
      if (at + 1 < name.size() && std::isdigit(static_cast<unsigned char>(name[at + 1])))
        name.replace(at + 1, std::min(name.find('.', at + 1), name.size()) - at - 1, "*");
    auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == name; });
    if (row == rows.end()) row = rows.insert(rows.end(), Row{name, 0, 0});
    const int64_t count = t.tensor.numel(), trained = t.parameter.requires_grad() ? count : 0;
    for (Row* r : {&*row, &all}) {
      r->total += count;
      r->trained += trained;
    }
  }
  rows.push_back(all);
  std::string text = fmt::format("{:<52} {:>12} {:>14}\n", "module", "trained", "parameters");
  for (const Row& row : rows)
    text += fmt::format("{:<52} {:>12} {:>14}\n", row.name, row.trained, row.total);
  return text + fmt::format("trained: {:.3f} %\n", 100.0 * static_cast<double>(all.trained) /
                                                       static_cast<double>(all.total));
}

}  // namespace mtlora
