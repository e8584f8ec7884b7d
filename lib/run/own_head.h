// A model that comes with a head of its own, on a task of ours or by itself.
#pragma once

#include <optional>

#include "lib/models/model_config.h"
#include "lib/run/session.h"

namespace mtlora {

/// The task that a model's own config.json tells of, where none is named: single texts with the
/// labels of its head (id2label), a number, or the writing of texts. Options that are `given` are
/// laid over it: text_pair makes the texts pairs. `outputs`: of another head that takes its place;
/// labels that nobody has named are LABEL_0, LABEL_1, … Throws Error as require_one_label() does.
Json own_task(const ModelConfig& config, const Json& given, std::optional<int64_t> outputs = {});

/// Throws Error where the head of the model's own gives several labels a text: its outputs are no
/// classes that exclude each other.
void require_one_label(const ModelConfig& config);

/// Throws Error unless the head has as many outputs as the task needs.
void check_own_head(const Session& session);

/// Warns where the model's config.json names its labels, and not as the task does: a head that is
/// not the model's own was trained in one of the two orders, and the task's is taken.
void warn_of_labels(const Session& session);

/// Puts the head's outputs in the task's order of labels where the model's config.json names the
/// same labels in another one (roberta-large-mnli: contradiction first): see order_head().
void order_own_head(const Session& session);

/// Puts the head's outputs, which stand for the labels `theirs`, in the task's order where these
/// are the same in another one. Where the names differ, warns that they are taken in the order they
/// stand in. To be called before the weights are settled.
void order_head(const Session& session, const std::vector<std::string>& theirs);

}  // namespace mtlora
