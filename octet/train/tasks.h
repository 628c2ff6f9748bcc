#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/train/task.h"

namespace octet {

// Tasks beside classification (task.h). What a batch's targets are is said of each; samples stand in dimension 0.

/// Numbers [N, ...] against floating targets of as many elements: mean squared error, told with the mean absolute one.
OCTET_API Task regression();
/// What comes out against what goes in, the first input: mean squared error. Where the data has labels 0 (usual) and 1
/// (anomalous), evaluations tell the area under the ROC curve of a sample's error, or, where a file
/// gives several samples, of their mean, as MLPerf Tiny measures its autoencoder.
OCTET_API Task autoencoder();
/// One logit a sample, [N] or [N, 1], against labels 0 and 1: binary cross entropy, told with accuracy at a logit of 0,
/// area under the ROC curve and F1.
OCTET_API Task binary();
/// Logits [N, labels] against 0 and 1 of the same shape: binary cross entropy, told with the share of right answers, F1
/// over all answers, and the mean over the labels of the area under the ROC curve.
OCTET_API Task multilabel();

struct TaskOptions {
  double label_smoothing = 0;     ///< of a classification
  at::Tensor class_weights = {};  ///< of a classification: float32 [classes]
};
/// "classification", "regression", "autoencoder", "binary", "multilabel"; throws octet::Error listing them otherwise,
/// and for options that the task does not have.
OCTET_API Task task_named(const std::string& name, const TaskOptions& options = {});
OCTET_API std::vector<std::string> task_names();

/// Area under the ROC curve: the share of pairs of one sample of each kind where the one with label 1 has the greater
/// score; equal scores count a half. `scores` floating, `labels` 0 or 1, both [N]. nullopt where one kind is missing,
/// or a score is NaN.
OCTET_API std::optional<double> area_under_roc(const at::Tensor& scores, const at::Tensor& labels);

/// Weights under which all classes count the same in the whole: samples / (classes * samples of the class), float32; 0
/// for a class without samples. Throws octet::Error where the data can't say (DataSource::class_counts).
OCTET_API at::Tensor balanced_class_weights(const DataSource& data);

}  // namespace octet
