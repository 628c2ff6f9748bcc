#include "octet/train/tasks.h"

#include <algorithm>
#include <map>

#include "octet/support/error.h"

namespace octet {
namespace {

// Each sample's mean over the elements, [samples].
at::Tensor mean_of_sample(const at::Tensor& values) {
  return values.to(at::kFloat).reshape({values.size(0), -1}).mean(1);
}

double sum_of(const at::Tensor& values) { return values.sum(at::kDouble).item<double>(); }

// Two metrics of how far results are from `wanted`; the first says which epoch is best.
std::vector<Metric> errors(const std::function<at::Tensor(const at::Tensor& output, const Batch& batch)>& wanted) {
  return {{"mse", "mean squared error",
           [wanted](const at::Tensor& output, const Batch& batch) {
             return sum_of(mean_of_sample((output - wanted(output, batch)).square()));
           },
           /*higher_is_better=*/false},
          {"mae", "mean absolute error",
           [wanted](const at::Tensor& output, const Batch& batch) {
             return sum_of(mean_of_sample((output - wanted(output, batch)).abs()));
           },
           /*higher_is_better=*/false}};
}

// What the loss and its sum compare with.
using Wanted = std::function<at::Tensor(const at::Tensor& output, const Batch& batch)>;

Task of_squared_error(std::string name, const Wanted& wanted) {
  Task task;
  task.name = std::move(name);
  task.loss = [wanted](const at::Tensor& output, const Batch& batch) {
    return at::mse_loss(output, wanted(output, batch));
  };
  task.metrics = errors(wanted);
  task.loss_sum = task.metrics[0].sum;
  return task;
}

at::Tensor targets_like(const at::Tensor& output, const Batch& batch) {
  return batch.targets.to(output.scalar_type()).view_as(output);
}

// [samples, 2 * labels]: scores beside labels, for what is measured of all.
at::Tensor beside(const at::Tensor& output, const Batch& batch) {
  const at::Tensor scores = output.detach().to(at::kFloat).reshape({output.size(0), -1});
  return at::cat({scores, batch.targets.to(at::kFloat).view_as(scores)}, 1);
}

// 2 tp / (2 tp + fp + fn) at a logit of 0; 0 where nothing is there and nothing was found.
std::optional<double> f1_of(const at::Tensor& all) {
  const auto halves = all.chunk(2, 1);
  const at::Tensor found = halves[0].gt(0), there = halves[1].gt(0.5);
  const auto both = static_cast<double>(at::logical_and(found, there).sum().item<int64_t>());
  const auto either = static_cast<double>(found.sum().item<int64_t>() + there.sum().item<int64_t>());
  return either > 0 ? 2 * both / either : 0;
}

std::optional<double> mean_area(const at::Tensor& all) {
  const auto halves = all.chunk(2, 1);
  double sum = 0;
  int64_t known = 0;
  for (int64_t i = 0; i < halves[0].size(1); ++i) {
    const std::optional<double> area = area_under_roc(halves[0].select(1, i), halves[1].select(1, i));
    if (!area) continue;
    sum += *area;
    ++known;
  }
  return known > 0 ? std::optional(sum / static_cast<double>(known)) : std::nullopt;
}

// Of rows of an error, a label and the number of a file, the mean error and the label of each file.
at::Tensor means_of_files(const at::Tensor& all) {
  struct Sum {
    double error = 0, label = 0, count = 0;
  };
  std::map<double, Sum> sums;
  const at::Tensor rows = all.contiguous();
  const double* row = rows.const_data_ptr<double>();
  for (int64_t i = 0; i < rows.size(0); ++i, row += 3) {
    Sum& sum = sums[row[2]];
    sum.error += row[0];
    sum.label = row[1];
    sum.count += 1;
  }
  std::vector<double> means;
  for (const auto& [file, sum] : sums) {
    means.push_back(sum.error / sum.count);
    means.push_back(sum.label);
  }
  return at::tensor(means, at::kDouble).view({-1, 2});
}

Task of_binary_answers(std::string name) {
  Task task;
  task.name = std::move(name);
  task.targets = "labels";
  task.loss = [](const at::Tensor& output, const Batch& batch) {
    return at::binary_cross_entropy_with_logits(output, targets_like(output, batch));
  };
  task.loss_sum = [](const at::Tensor& output, const Batch& batch) {
    return sum_of(mean_of_sample(
        at::binary_cross_entropy_with_logits(output, targets_like(output, batch), {}, {}, at::Reduction::None)));
  };
  task.metrics = {{"accuracy", "accuracy", [](const at::Tensor& output, const Batch& batch) {
                     return sum_of(mean_of_sample(output.gt(0).eq(targets_like(output, batch).gt(0.5))));
                   }}};
  task.whole = {{"auc", "AUC", beside, mean_area}, {"f1", "F1", beside, f1_of}};
  task.check_output = [](const at::Tensor& output, const Batch& batch, const std::string& where) {
    if (output.dim() == 0 || output.size(0) != batch.size()) {
      throw expected(where, "model output", str(batch.size(), " samples"), octet::str(output.sizes()));
    }
    if (batch.targets.numel() != output.numel()) {
      throw expected(where, "labels", octet::str("0 and 1 of the model output's shape ", octet::str(output.sizes())),
                     octet::str(batch.targets.sizes()));
    }
    const at::Tensor labels = batch.targets;
    if (at::logical_and(labels.ne(0), labels.ne(1)).any().item<bool>()) {
      throw Error(where, "labels: expected 0 and 1, got others")
          .hint("classes by their numbers: --task classification");
    }
  };
  // Of each answer the cross entropy beyond the teacher's own uncertainty, as the divergence of classes is.
  task.distance = [](const at::Tensor& output, const at::Tensor& teacher, double temperature) {
    const at::Tensor wanted = at::sigmoid(teacher / temperature);
    const auto cross = [&](const at::Tensor& logits) {
      return at::binary_cross_entropy_with_logits(logits / temperature, wanted);
    };
    return (cross(output) - cross(teacher)) * (temperature * temperature);
  };
  task.agreeing = [](const at::Tensor& output, const at::Tensor& teacher) {
    return sum_of(mean_of_sample(output.gt(0).eq(teacher.gt(0))));
  };
  return task;
}

}  // namespace

Task regression() {
  Task task = of_squared_error("regression", targets_like);
  task.targets = "targets";
  task.check_output = [](const at::Tensor& output, const Batch& batch, const std::string& where) {
    if (output.dim() > 0 && output.size(0) == batch.size() && batch.targets.numel() == output.numel()) return;
    throw expected(where, "targets", octet::str("as the model's output ", octet::str(output.sizes())),
                   octet::str(batch.targets.sizes()));
  };
  return task;
}

Task autoencoder() {
  const auto given = [](const at::Tensor& output, const Batch& batch) { return batch.inputs[0].view_as(output); };
  Task task = of_squared_error("autoencoder", given);
  task.whole = {{"auc", "AUC",
                 [given](const at::Tensor& output, const Batch& batch) {
                   if (!batch.targets.defined() || batch.targets.dim() != 1) return at::Tensor();
                   const at::Tensor error = mean_of_sample((output - given(output, batch)).square()).to(at::kDouble);
                   std::vector<at::Tensor> columns = {error, batch.targets.to(at::kDouble)};
                   if (batch.files.defined()) columns.push_back(batch.files.to(at::kDouble));
                   return at::stack(columns, 1);
                 },
                 [](const at::Tensor& all) {
                   const at::Tensor rows = all.size(1) == 3 ? means_of_files(all) : all;
                   return area_under_roc(rows.select(1, 0), rows.select(1, 1));
                 }}};
  task.check_output = [](const at::Tensor& output, const Batch& batch, const std::string& where) {
    if (output.dim() > 0 && output.size(0) == batch.size() && output.numel() == batch.inputs.at(0).numel()) return;
    throw expected(where, "model output", octet::str("as the input ", octet::str(batch.inputs.at(0).sizes())),
                   octet::str(output.sizes()));
  };
  return task;
}

Task binary() {
  Task task = of_binary_answers("binary");
  task.check_output = [check = task.check_output](const at::Tensor& output, const Batch& batch,
                                                  const std::string& where) {
    if (output.numel() != batch.size()) {
      throw expected(where, "model output", str("one logit a sample, [", batch.size(), ", 1]"),
                     octet::str(output.sizes()))
          .hint("several answers a sample: --task multilabel; one of several classes: --task classification");
    }
    check(output, batch, where);
  };
  return task;
}

Task multilabel() { return of_binary_answers("multilabel"); }

std::vector<std::string> task_names() {
  return {"classification", "regression", "autoencoder", "binary", "multilabel"};
}

Task task_named(const std::string& name, const TaskOptions& options) {
  if (name == "classification") return classification(options.label_smoothing, options.class_weights);
  const auto all = task_names();
  if (std::find(all.begin(), all.end(), name) == all.end()) {
    throw expected("task", "name", join(", ", all), "'" + name + "'");
  }
  if (options.label_smoothing != 0 || options.class_weights.defined()) {
    throw Error(name, "label smoothing and class weights are for a classification", ErrorCategory::kUsage);
  }
  if (name == "regression") return regression();
  if (name == "autoencoder") return autoencoder();
  return name == "binary" ? binary() : multilabel();
}

std::optional<double> area_under_roc(const at::Tensor& scores, const at::Tensor& labels) {
  const at::Tensor values = scores.to(at::kDouble).contiguous(), kinds = labels.to(at::kDouble).contiguous();
  const double* value = values.const_data_ptr<double>();
  const double* kind = kinds.const_data_ptr<double>();
  std::vector<std::pair<double, bool>> all;
  for (int64_t i = 0; i < values.numel(); ++i) {
    if (value[i] != value[i]) return std::nullopt;
    all.emplace_back(value[i], kind[i] > 0.5);
  }
  std::sort(all.begin(), all.end());
  // Runs of equal scores: their pairs among themselves count a half.
  double below = 0, pairs = 0, ones = 0;
  for (size_t i = 0; i < all.size();) {
    double run_ones = 0, run_zeros = 0;
    for (const double score = all[i].first; i < all.size() && all[i].first == score; ++i) {
      (all[i].second ? run_ones : run_zeros) += 1;
    }
    pairs += run_ones * (below + run_zeros / 2);
    below += run_zeros;
    ones += run_ones;
  }
  if (ones == 0 || below == 0) return std::nullopt;
  return pairs / (ones * below);
}

at::Tensor balanced_class_weights(const DataSource& data) {
  const std::vector<int64_t> counts = data.class_counts();
  if (counts.empty()) {
    throw Error(data.name(), "does not say how many samples each class has").hint("give the weights as numbers");
  }
  double samples = 0;
  for (const int64_t count : counts) samples += static_cast<double>(count);
  std::vector<float> weights;
  for (const int64_t count : counts) {
    const double share = static_cast<double>(counts.size()) * static_cast<double>(count);
    weights.push_back(count > 0 ? static_cast<float>(samples / share) : 0.0F);
  }
  return at::tensor(weights);
}

}  // namespace octet
