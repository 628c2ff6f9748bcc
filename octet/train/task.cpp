#include "octet/train/task.h"

#include "octet/support/error.h"

namespace octet {
namespace {

bool is_soft(const at::Tensor& targets) { return targets.dim() == 2 && at::isFloatingType(targets.scalar_type()); }

// Soft targets over all classes of the output: those that they do not name have none of the share.
at::Tensor targets_for(const at::Tensor& output, const at::Tensor& targets) {
  if (!is_soft(targets)) return targets;
  return at::constant_pad_nd(targets.to(output.scalar_type()), {0, output.size(1) - targets.size(1)});
}

at::Tensor hard(const at::Tensor& targets) { return is_soft(targets) ? targets.argmax(1) : targets; }

void check_logits(const at::Tensor& output, const Batch& batch, const std::string& where) {
  if (output.dim() != 2 || output.size(0) != batch.size()) {
    throw expected(where, "model output", str("[", batch.size(), ", classes]"), octet::str(output.sizes()));
  }
  if (is_soft(batch.targets)) {
    const at::Tensor& soft = batch.targets;
    if (soft.size(0) != batch.size() || soft.size(1) > output.size(1)) {
      throw expected(where, "soft targets", str("[", batch.size(), ", ", output.size(1), "]"),
                     octet::str(soft.sizes()));
    }
    const bool are_shares = soft.ge(0).all().item<bool>() && soft.sum(1).sub(1).abs().lt(1e-3).all().item<bool>();
    if (!are_shares) throw Error(where, "soft targets: expected shares of each sample that sum up to 1, got others");
    return;
  }
  if (batch.targets.scalar_type() != at::kLong || batch.targets.dim() != 1) {
    throw expected(where, "labels", "int64 [samples]", octet::str(batch.targets.scalar_type(), batch.targets.sizes()));
  }
  const int64_t highest = batch.targets.numel() == 0 ? -1 : batch.targets.max().item<int64_t>();
  if (highest >= output.size(1)) throw expected(where, "labels", str("below ", output.size(1)), str(highest));
}

void check_weights(const at::Tensor& class_weights, const at::Tensor& output) {
  if (!class_weights.defined() || class_weights.numel() == output.size(1)) return;
  throw expected("train", "class weights", str(output.size(1), ", as many as the model has classes"),
                 str(class_weights.numel()));
}

// Undefined ones stay so.
at::Tensor where_the_output_is(const at::Tensor& class_weights, const at::Tensor& output) {
  return class_weights.defined() ? class_weights.to(output.device()) : class_weights;
}

Metric top(int64_t k) {
  return {str("top", k), str("top-", k), [k](const at::Tensor& output, const Batch& batch) {
            return static_cast<double>(count_top(output, hard(batch.targets), k));
          }};
}

}  // namespace

void Task::check_data(const DataSource& data, const char* purpose) const {
  if (!targets.empty() && !data.has_targets()) throw Error(data.name(), str("has no ", targets, " to ", purpose));
}

Task classification(double label_smoothing, const at::Tensor& class_weights) {
  if (!(label_smoothing >= 0 && label_smoothing < 1)) {
    throw expected("train", "label smoothing", "from 0 up to but not 1", str(label_smoothing));
  }
  Task task;
  task.name = "classification";
  task.targets = "labels";
  task.loss = [label_smoothing, class_weights](const at::Tensor& output, const Batch& batch) {
    check_weights(class_weights, output);
    if (class_weights.defined() && batch.weight_share == 0) return output.sum() * 0;  // none that counts
    const at::Tensor loss =
        at::cross_entropy_loss(output, targets_for(output, batch.targets), where_the_output_is(class_weights, output),
                               at::Reduction::Mean, /*ignore_index=*/-100, label_smoothing);
    return batch.weight_share == 1 ? loss : loss * batch.weight_share;
  };
  if (class_weights.defined()) {
    task.weight = [class_weights](const at::Tensor& output, const Batch& batch) {
      check_weights(class_weights, output);
      if (is_soft(batch.targets)) return static_cast<double>(batch.size());  // as cross_entropy_loss does
      return where_the_output_is(class_weights, output).index_select(0, batch.targets).sum(at::kDouble).item<double>();
    };
  }
  task.loss_sum = [](const at::Tensor& output, const Batch& batch) {
    const at::Tensor logits = output.to(at::kFloat);
    return at::cross_entropy_loss(logits, targets_for(logits, batch.targets), {}, at::Reduction::Sum).item<double>();
  };
  task.metrics = {top(1), top(5)};
  task.check_output = check_logits;
  // Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015): the square keeps the gradient's
  // size as the temperature changes.
  task.distance = [](const at::Tensor& output, const at::Tensor& teacher, double temperature) {
    const at::Tensor own = at::log_softmax(output / temperature, -1);
    const at::Tensor theirs = at::log_softmax(teacher / temperature, -1);
    const auto samples = static_cast<double>(std::max<int64_t>(1, output.size(0)));
    return at::kl_div(own, theirs, at::Reduction::Sum, /*log_target=*/true) * (temperature * temperature / samples);
  };
  task.agreeing = [](const at::Tensor& output, const at::Tensor& teacher) {
    return static_cast<double>(output.argmax(1).eq(teacher.argmax(1)).sum().item<int64_t>());
  };
  return task;
}

void Tally::add(const Task& task, const at::Tensor& output, const Batch& batch) {
  sums.resize(task.metrics.size(), 0);
  for (size_t i = 0; i < sums.size(); ++i) sums[i] += task.metrics[i].sum(output, batch);
  samples += batch.size();
  ++batches;
}

double Tally::mean(size_t index) const {
  return index < sums.size() && samples > 0 ? sums[index] / static_cast<double>(samples) : 0;
}

std::vector<Score> Tally::scores(const Task& task) const {
  std::vector<Score> values;
  for (size_t i = 0; i < task.metrics.size(); ++i) {
    values.push_back({task.metrics[i].key, task.metrics[i].title, mean(i)});
  }
  return values;
}

double score(const std::vector<Score>& scores, const std::string& key) {
  std::string known;
  for (const Score& each : scores) {
    if (each.key == key) return each.value;
    known += (known.empty() ? "" : ", ") + each.key;
  }
  throw expected("task", "metric", known.empty() ? "none" : known, key);
}

int64_t count_top(const at::Tensor& logits, const at::Tensor& labels, int64_t k) {
  at::Tensor values = logits.detach().to(at::kFloat);
  at::Tensor own = values.gather(1, labels.unsqueeze(1));
  // Rank of the label's own value: a class that is as high counts as higher unless it is the label; NaN never counts as
  // right.
  at::Tensor ahead = values.ge(own).sum(1);
  return at::logical_and(ahead.ge(1), ahead.le(k)).sum().item<int64_t>();
}

}  // namespace octet
