#pragma once

#include "octet/support/api.h"
#include "octet/train/model_handle.h"
#include "octet/train/task.h"

namespace octet {

struct DistillOptions {
  /// Divides both models' logits before they are compared: the higher, the more the teacher's small answers count.
  double temperature = 2;
  /// Of the distance to the teacher in the loss; the task's own loss has the rest. 1: the labels are not looked at.
  double weight = 0.5;
};

/// A task whose loss is also how far the results are from a teacher's on the same inputs (Task::distance):
///
///     loss = (1 - weight) * task's loss + weight * distance(output, teacher's output, temperature)
///
/// Without labels, by `has_labels`, it needs no targets: the distance is all of the loss, and in place of the task's
/// metrics the share of samples with the teacher's answer is told. The teacher stays in eval mode and is not trained.
/// Throws octet::Error for a temperature that is not over 0 or a weight that is not from 0 to 1.
OCTET_API Task distilled(const Task& task, const ModelHandle& teacher, const DistillOptions& options,
                         bool has_labels = true);

}  // namespace octet
