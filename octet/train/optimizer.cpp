#include "octet/train/optimizer.h"

#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include "octet/support/error.h"

namespace octet {
namespace {

template <typename Options>
std::vector<torch::optim::OptimizerParamGroup> groups(const std::vector<at::Tensor>& parameters, const Options& common,
                                                      bool decay_vectors) {
  std::vector<at::Tensor> decaying, plain;
  for (const at::Tensor& parameter : parameters) {
    (decay_vectors || parameter.dim() > 1 ? decaying : plain).push_back(parameter);
  }
  std::vector<torch::optim::OptimizerParamGroup> result;
  if (!decaying.empty()) result.emplace_back(decaying, std::make_unique<Options>(common));
  if (!plain.empty()) result.emplace_back(plain, std::make_unique<Options>(Options(common).weight_decay(0)));
  return result;
}

}  // namespace

std::shared_ptr<torch::optim::Optimizer> make_optimizer(const std::vector<at::Tensor>& parameters,
                                                        const OptimizerOptions& options, double learning_rate) {
  if (parameters.empty()) throw Error("optimizer", "the model has no parameters to train");
  // A group's value that equals the class's default is replaced by the optimizer's default (libtorch 2.10 on), so the
  // latter stays the class's default too: then every group gets what it names.
  if (options.kind == OptimizerKind::kAdamW) {
    auto common = torch::optim::AdamWOptions(learning_rate).weight_decay(options.weight_decay);
    auto neutral = torch::optim::AdamWOptions(learning_rate);
    return std::make_shared<torch::optim::AdamW>(groups(parameters, common, options.decay_vectors), neutral);
  }
  if (options.nesterov && !(options.momentum > 0)) throw Error("optimizer", "nesterov needs a momentum over 0");
  auto common = torch::optim::SGDOptions(learning_rate)
                    .momentum(options.momentum)
                    .nesterov(options.nesterov)
                    .weight_decay(options.weight_decay);
  auto neutral = torch::optim::SGDOptions(learning_rate);
  return std::make_shared<torch::optim::SGD>(groups(parameters, common, options.decay_vectors), neutral);
}

void set_learning_rate(torch::optim::Optimizer& optimizer, double learning_rate) {
  for (auto& group : optimizer.param_groups()) group.options().set_lr(learning_rate);
}

double clip_gradients(const std::vector<at::Tensor>& parameters, double max_norm) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const at::Tensor& parameter : parameters) {
    if (parameter.grad().defined()) norms.push_back(parameter.grad().norm());
  }
  if (norms.empty()) return 0;
  const double norm = at::stack(norms).norm().item<double>();
  if (norm > max_norm) {
    for (const at::Tensor& parameter : parameters) {
      if (parameter.grad().defined()) parameter.grad().mul_(max_norm / norm);
    }
  }
  return norm;
}

OptimizerKind optimizer_kind(const std::string& name) {
  if (name == "sgd") return OptimizerKind::kSgd;
  if (name == "adamw") return OptimizerKind::kAdamW;
  throw expected("optimizer", "name", "sgd, adamw", "'" + name + "'");
}

}  // namespace octet
