#include "octet/train/distill.h"

#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"
#include "octet/train/device.h"

namespace octet {
namespace {

// The teacher's results, found once a batch: the loss and the metrics both ask for them.
class Teacher {
 public:
  explicit Teacher(ModelHandle model) : model_(std::move(model)), device_(device_of(model_)) {
    model_.set_training(false);
  }

  const at::Tensor& results(const Batch& batch) {
    if (!inputs_.defined() || !inputs_.is_same(batch.inputs.at(0))) {
      const at::NoGradGuard no_grad;
      std::vector<at::Tensor> inputs = batch.inputs;
      for (at::Tensor& input : inputs) {
        input = input.to(device_);
        if (!model_.takes_channels_last) input = input.contiguous();
      }
      results_ = model_.forward(inputs).to(batch.inputs[0].device());
      inputs_ = batch.inputs[0];
    }
    return results_;
  }

 private:
  ModelHandle model_;
  at::Device device_;
  at::Tensor inputs_;  // of results_
  at::Tensor results_;
};

void check_same_shape(const at::Tensor& output, const at::Tensor& teacher) {
  if (output.sizes() == teacher.sizes()) return;
  throw expected("distillation", "results of the teacher", octet::str(output.sizes()) + ", as the model's",
                 octet::str(teacher.sizes()));
}

}  // namespace

Task distilled(const Task& task, const ModelHandle& teacher, const DistillOptions& options, bool has_labels) {
  if (!(options.temperature > 0)) throw expected("distillation", "temperature", "over 0", str(options.temperature));
  if (!(options.weight >= 0 && options.weight <= 1)) {
    throw expected("distillation", "weight", "from 0 to 1", str(options.weight));
  }
  const auto from = std::make_shared<Teacher>(teacher);
  const auto distance = [from, task](const at::Tensor& output, const Batch& batch, double temperature) {
    const at::Tensor& wanted = from->results(batch);
    check_same_shape(output, wanted);
    return task.distance ? task.distance(output, wanted, temperature) : at::mse_loss(output, wanted);
  };
  Task taught = task;
  const double weight = has_labels ? options.weight : 1;
  taught.loss = [distance, task, weight, temperature = options.temperature](const at::Tensor& output,
                                                                            const Batch& batch) {
    at::Tensor loss = distance(output, batch, temperature) * weight;
    return weight < 1 ? loss + task.loss(output, batch) * (1 - weight) : loss;
  };
  if (has_labels) return taught;
  taught.targets.clear();
  taught.weight = nullptr;
  taught.whole.clear();
  taught.metrics.clear();
  taught.check_output = nullptr;
  taught.loss_sum = [distance](const at::Tensor& output, const Batch& batch) {
    return distance(output, batch, 1).item<double>() * static_cast<double>(batch.size());
  };
  if (task.agreeing) {
    taught.metrics = {
        {"agreement", "agreement with the teacher", [from, task](const at::Tensor& output, const Batch& batch) {
           return task.agreeing(output, from->results(batch));
         }}};
  }
  return taught;
}

}  // namespace octet
