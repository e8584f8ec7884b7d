#include "lib/run/own_head.h"

#include <algorithm>
#include <cctype>
#include <functional>
#include <set>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/data/shown_text.h"
#include "lib/models/load.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

int64_t at(size_t count) {
  return static_cast<int64_t>(count);
}

bool same_but_for_case(const std::string& a, const std::string& b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// LABEL_0, LABEL_1, …: transformers' names where nobody has given any.
bool are_generic(const std::vector<std::string>& labels) {
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] != fmt::format("LABEL_{}", i)) return false;
  return true;
}

// For each label of `ours` its place in `theirs`; empty where the two are not the same labels.
template <class Same>
std::vector<int64_t> places(const std::vector<std::string>& ours,
                            const std::vector<std::string>& theirs, const Same& same) {
  std::vector<int64_t> rows;
  for (const std::string& label : ours) {
    const auto found = std::find_if(theirs.begin(), theirs.end(),
                                    [&](const std::string& other) { return same(label, other); });
    if (found == theirs.end()) return {};
    rows.push_back(found - theirs.begin());
  }
  const bool is_each_once = std::set<int64_t>(rows.begin(), rows.end()).size() == theirs.size();
  return is_each_once ? rows : std::vector<int64_t>{};
}

// The same where names may differ in case, unless they also differ from each other in it alone.
std::vector<int64_t> places(const std::vector<std::string>& ours,
                            const std::vector<std::string>& theirs) {
  const std::vector<int64_t> exact = places(ours, theirs, std::equal_to<std::string>());
  return exact.empty() ? places(ours, theirs, same_but_for_case) : exact;
}

Json task_of(const ModelConfig& config, std::optional<int64_t> of_another) {
  const Family& family = family_of(config);
  if (!family.classifier) return {{"name", "data_to_text"}};
  require_one_label(config);
  std::vector<std::string> labels = config.labels();
  const auto own = config.integer_or("num_labels", labels.empty() ? 2 : at(labels.size()));
  const int64_t outputs = of_another.value_or(own);
  if (outputs == 1 || (outputs == own && config.text_or("problem_type", "") == "regression"))
    return {{"name", "text"}, {"kind", "regression"}};
  if (outputs != own) labels.clear();
  for (int64_t i = at(labels.size()); i < outputs; ++i)
    labels.push_back(fmt::format("LABEL_{}", i));
  return {{"name", "text"}, {"labels", labels}};
}

}  // namespace

Json own_task(const ModelConfig& config, const Json& given, std::optional<int64_t> outputs) {
  Json task = task_of(config, outputs);
  task.update(given);
  return task;
}

void require_one_label(const ModelConfig& config) {
  if (config.text_or("problem_type", "") == "multi_label_classification")
    fail(
        "{}: \"problem_type\" is \"multi_label_classification\": a head that gives a text several "
        "labels is not implemented",
        config.origin());
}

void check_own_head(const Session& s) {
  const auto outputs = static_cast<int64_t>(s.task->info().outputs());
  if (s.classifier->outputs() != outputs)
    fail("{}: its head has {} outputs, the task {} needs {}", s.options.model.path,
         s.classifier->outputs(), s.task->info().name, outputs);
}

void warn_of_labels(const Session& s) {
  const std::vector<std::string> theirs = s.loaded.config.labels(), &ours = s.task->info().labels;
  if (theirs.size() != ours.size() || are_generic(theirs)) return;
  if (std::equal(ours.begin(), ours.end(), theirs.begin(), same_but_for_case)) return;
  log::warn(fmt::format(
      "the model's config.json names the labels {}, the task {}: the head is taken to have been "
      "trained in the task's order",
      shown_list(theirs), shown_list(ours)));
}

void order_own_head(const Session& s) {
  order_head(s, s.loaded.config.labels());
}

void order_head(const Session& s, const std::vector<std::string>& theirs) {
  const std::vector<std::string>& ours = s.task->info().labels;
  if (ours.empty() || ours == theirs || are_generic(theirs)) return;
  const std::vector<int64_t> rows = places(ours, theirs);
  if (rows.empty()) {
    log::warn(fmt::format("the model's labels are {}, the task's {}: they are taken in this order",
                          shown_list(theirs), shown_list(ours)));
    return;
  }
  if (std::is_sorted(rows.begin(), rows.end())) return;
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : named_tensors(s.model()))
    if (is_last_of_head(*s.loaded.family, t.name))
      t.tensor.copy_(t.tensor.index_select(0, torch::tensor(rows).to(t.tensor.device())));
  log::info(fmt::format("the model's labels are {}: its outputs are put in the task's order, {}",
                        shown_list(theirs), shown_list(ours)));
}

}  // namespace mtlora
