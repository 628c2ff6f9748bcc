#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/train/data_source.h"

namespace octet {

/// A number that is measured of results: its mean over the samples is told.
struct Metric {
  std::string key;    ///< "top1", for files
  std::string title;  ///< "top-1", for people
  /// Sum over the samples of a batch.
  std::function<double(const at::Tensor& output, const Batch& batch)> sum;
  bool higher_is_better = true;
};

/// A number that is measured of all results of an evaluation together, such as an area under a curve.
struct WholeMetric {
  std::string key;
  std::string title;
  /// What to keep of a batch: [samples, ...]; undefined where the batch says nothing of it.
  std::function<at::Tensor(const at::Tensor& output, const Batch& batch)> rows;
  /// Of the rows of all batches; nullopt where they leave it open.
  std::function<std::optional<double>(const at::Tensor& all)> value;
};

/// What a model is trained for: the loss to minimise and what is counted of its results. The loop knows nothing else of
/// it, so a new task is such a structure:
///
///     Task autoencoder;
///     autoencoder.name = "autoencoder";
///     autoencoder.loss = [](const at::Tensor& output, const Batch& batch) {
///       return at::mse_loss(output, batch.inputs[0]);
///     };
///     autoencoder.loss_sum = [=](const at::Tensor& output, const Batch& batch) {
///       return at::mse_loss(output, batch.inputs[0]).item<double>() * batch.size();
///     };
struct OCTET_API Task {
  std::string name;
  /// What the data must hold beside the inputs, in a word: "labels"; empty: nothing.
  std::string targets;
  /// What training minimises: a mean over the batch, with a gradient.
  std::function<at::Tensor(const at::Tensor& output, const Batch& batch)> loss;
  /// What the loss divides by, where that is not the number of samples: the weights of all samples of the batch. Such a
  /// loss is multiplied by Batch::weight_share. Empty: the mean over the samples.
  std::function<double(const at::Tensor& output, const Batch& batch)> weight = {};
  /// The loss that is told of an evaluation, summed over the batch: without what training adds, such as label
  /// smoothing.
  std::function<double(const at::Tensor& output, const Batch& batch)> loss_sum;
  /// The first says which epoch is best; where there are none, the loss does.
  std::vector<Metric> metrics;
  /// Measured in evaluations alone.
  std::vector<WholeMetric> whole = {};
  /// How far results are from a teacher's, softened by a temperature: what distillation (distill.h) minimises, a mean
  /// over the batch. Empty: the mean squared difference.
  std::function<at::Tensor(const at::Tensor& output, const at::Tensor& teacher, double temperature)> distance = {};
  /// How many samples of a batch have the teacher's answer. Empty: nothing is told of it.
  std::function<double(const at::Tensor& output, const at::Tensor& teacher)> agreeing = {};
  /// Throws octet::Error, which names `where`, for results that do not fit the batch. May be empty.
  std::function<void(const at::Tensor& output, const Batch& batch, const std::string& where)> check_output;

  /// Throws octet::Error that ends in "to `purpose`" where `data` lacks the targets.
  void check_data(const DataSource& data, const char* purpose) const;
};

/// Logits [N, classes] against int64 labels [N], or soft ones, floating [N, up to classes], of which the greatest
/// counts as the label where answers are counted: cross entropy, top-1 and top-5. `label_smoothing` from 0 up to but
/// not 1, else octet::Error. `class_weights`: what a sample of each class counts in training, float32 [classes];
/// undefined: all the same.
OCTET_API Task classification(double label_smoothing = 0, const at::Tensor& class_weights = {});

/// A metric's value.
struct Score {
  std::string key;
  std::string title;
  double value = 0;
};

/// Sums over some batches.
struct OCTET_API Tally {
  double loss = 0;           ///< as the loop adds it up
  std::vector<double> sums;  ///< one a metric of the task
  int64_t samples = 0;
  int64_t batches = 0;

  /// The metrics of one more batch; its loss is the caller's to add.
  void add(const Task& task, const at::Tensor& output, const Batch& batch);
  /// Mean of metric `index` over the samples; 0 where there is no such metric.
  double mean(size_t index) const;
  std::vector<Score> scores(const Task& task) const;
};

/// Of the metric `key`; throws octet::Error listing what there is otherwise.
OCTET_API double score(const std::vector<Score>& scores, const std::string& key);

/// How many of `labels` (int64 [N]) are among the `k` greatest of each row of `logits` [N, classes]. Ties count against
/// it.
OCTET_API int64_t count_top(const at::Tensor& logits, const at::Tensor& labels, int64_t k);

}  // namespace octet
