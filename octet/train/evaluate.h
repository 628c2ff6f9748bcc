#pragma once

#include "octet/support/api.h"
#include "octet/train/data_source.h"
#include "octet/train/model_handle.h"
#include "octet/train/task.h"
#include "octet/train/transforms.h"

namespace octet {

class Progress;

struct EvaluateOptions {
  Task task = classification();
  int64_t batch_size = 250;
  /// For input 0; see standard_transform.
  Transform transform = {};
  /// Inputs of four dimensions in channels-last layout: faster on the CPU.
  bool channels_last = true;
  /// Threads that prepare batches.
  int64_t workers = 1;
  /// Shows how far it is.
  Progress* progress = nullptr;
};

/// Samples a batch of an evaluation for which the memory of training in batches of `training_batch` is enough, up to
/// the usual number.
OCTET_API int64_t evaluation_batch(int64_t training_batch);

/// What a model is worth on some data.
struct Evaluation {
  int64_t samples = 0;
  double loss = 0;            ///< mean
  std::vector<Score> scores;  ///< means, in the task's order: of a classification parts of the samples, 0 to 1
  double seconds = 0;
  double samples_per_second = 0;
  /// Of the metric `key`, "top1"; throws octet::Error where the task has no such metric.
  double score(const std::string& key) const { return octet::score(scores, key); }
};

/// Measures all of `data`, in eval mode, without gradients; the model stays in eval mode. Throws octet::Error where the
/// data lack what the task needs or the model's output does not fit it.
OCTET_API Evaluation evaluate(const ModelHandle& model, std::shared_ptr<const DataSource> data,
                              const EvaluateOptions& options = {});

/// The batch's inputs of four dimensions in channels-last layout.
OCTET_API void to_channels_last(Batch& batch);

}  // namespace octet
