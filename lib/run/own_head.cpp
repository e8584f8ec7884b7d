#include "lib/run/own_head.h"

#include <algorithm>
#include <cctype>

#include "lib/core/error.h"
#include "lib/core/log.h"
#include "lib/nn/names.h"

namespace mtlora {
namespace {

bool same_but_for_case(const std::string& a, const std::string& b) {
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

void check_outputs(const Session& s) {
  const auto outputs = static_cast<int64_t>(s.task->info().outputs());
  for (const NamedTensor& t : named_tensors(s.model()))
    if (t.name.ends_with("classifier.weight") || t.name.ends_with("out_proj.weight"))
      if (t.tensor.size(0) != outputs)
        fail("{}: its head has {} outputs, the task {} needs {}", s.options.model.path,
             t.tensor.size(0), s.task->info().name, outputs);
}

// For each label of `ours` its place in `theirs`; empty where they are other names, such as
// LABEL_0.
std::vector<int64_t> places(const std::vector<std::string>& ours,
                            const std::vector<std::string>& theirs) {
  std::vector<int64_t> rows;
  for (const std::string& label : ours) {
    const auto found = std::find_if(theirs.begin(), theirs.end(), [&](const std::string& other) {
      return same_but_for_case(label, other);
    });
    if (found == theirs.end()) return {};
    rows.push_back(found - theirs.begin());
  }
  return rows;
}

}  // namespace

void fit_own_head(Session& s) {
  check_outputs(s);
  const std::vector<std::string> theirs = s.loaded.config.labels(), &ours = s.task->info().labels;
  const std::vector<int64_t> rows = places(ours, theirs);
  if (std::is_sorted(rows.begin(), rows.end())) return;
  const torch::NoGradGuard no_grad;
  for (const NamedTensor& t : named_tensors(s.model())) {
    const bool is_last =
        t.name.starts_with("classifier.") && !t.name.starts_with("classifier.dense");
    if (is_last)
      t.tensor.copy_(t.tensor.index_select(0, torch::tensor(rows).to(t.tensor.device())));
  }
  log::info(fmt::format("the model's labels are {}: its outputs are put in the task's order, {}",
                        fmt::join(theirs, ", "), fmt::join(ours, ", ")));
}

}  // namespace mtlora
