#pragma once

#include "octet/train/data_source.h"
#include "octet/train/model_handle.h"
#include "octet/train/transforms.h"

namespace octet {

class Progress;

struct EvaluateOptions {
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

struct Accuracy {
  int64_t samples = 0;
  double top1 = 0;  ///< part of the samples, 0 to 1
  double top5 = 0;
  double loss = 0;  ///< mean cross entropy
  double seconds = 0;
  double images_per_second = 0;
};

/// Accuracy over all of `data`, in eval mode, without gradients; the model stays in eval mode. Throws octet::Error
/// where the data has no labels or the model's output is not [samples, classes] with a class for every label.
Accuracy evaluate(const ModelHandle& model, std::shared_ptr<const Dataset> data, const EvaluateOptions& options = {});

/// How many of `labels` (int64 [N]) are among the `k` greatest of each row of `logits` [N, classes]. Ties count against
/// it.
int64_t count_top(const at::Tensor& logits, const at::Tensor& labels, int64_t k);

/// Throws octet::Error unless `output` is [N, classes] and every one of the N labels below classes.
void check_output(const at::Tensor& output, const Batch& batch, const std::string& where);

/// The batch's inputs of four dimensions in channels-last layout.
void to_channels_last(Batch& batch);

}  // namespace octet
