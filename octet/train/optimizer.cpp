#include "octet/train/optimizer.h"

#include "octet/support/error.h"
#include "octet/train/fused_optimizers.h"

namespace octet {
namespace {

// In a checkpoint, as torch's own optimizers call them.
constexpr const char* kMomentum = "momentum_buffer";
constexpr const char* kSteps = "step";
constexpr const char* kMean = "exp_avg";
constexpr const char* kSquares = "exp_avg_sq";

template <typename Options>
std::vector<torch::optim::OptimizerParamGroup> groups(const std::vector<at::Tensor>& parameters, const Options& common,
                                                      const OptimizerOptions& choice) {
  const auto decays = [&](const at::Tensor& parameter) {
    const bool is_named = std::any_of(choice.without_decay.begin(), choice.without_decay.end(),
                                      [&](const at::Tensor& other) { return other.is_same(parameter); });
    return !is_named && (choice.decay_vectors || parameter.dim() > 1);
  };
  std::vector<at::Tensor> decaying, plain;
  for (const at::Tensor& parameter : parameters) (decays(parameter) ? decaying : plain).push_back(parameter);
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
    return std::make_shared<FusedAdamW>(groups(parameters, common, options), neutral);
  }
  if (options.nesterov && !(options.momentum > 0)) throw Error("optimizer", "nesterov needs a momentum over 0");
  auto common = torch::optim::SGDOptions(learning_rate)
                    .momentum(options.momentum)
                    .nesterov(options.nesterov)
                    .weight_decay(options.weight_decay);
  auto neutral = torch::optim::SGDOptions(learning_rate);
  return std::make_shared<FusedSgd>(groups(parameters, common, options), neutral);
}

std::map<std::string, at::Tensor> optimizer_state(torch::optim::Optimizer& optimizer,
                                                  const std::vector<at::Tensor>& parameters) {
  std::map<std::string, at::Tensor> all;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto found = optimizer.state().find(parameters[i].unsafeGetTensorImpl());
    if (found == optimizer.state().end()) continue;
    const auto add = [&](const char* name, const at::Tensor& value) {
      if (value.defined()) all.emplace(str(i, '/', name), value);
    };
    if (const auto* sgd = dynamic_cast<const torch::optim::SGDParamState*>(found->second.get())) {
      add(kMomentum, sgd->momentum_buffer());
    } else if (const auto* adamw = dynamic_cast<const torch::optim::AdamWParamState*>(found->second.get())) {
      add(kSteps, at::scalar_tensor(adamw->step(), at::kLong));
      add(kMean, adamw->exp_avg());
      add(kSquares, adamw->exp_avg_sq());
    }
  }
  return all;
}

void load_optimizer_state(torch::optim::Optimizer& optimizer, const std::vector<at::Tensor>& parameters,
                          const std::map<std::string, at::Tensor>& state, const std::string& where) {
  const bool is_sgd = dynamic_cast<torch::optim::SGD*>(&optimizer) != nullptr;
  size_t used = 0;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const at::Tensor& parameter = parameters[i];
    const auto find = [&](const char* name, bool is_count = false) -> at::Tensor {
      const auto found = state.find(str(i, '/', name));
      if (found == state.end()) return {};
      ++used;
      const at::Tensor& value = found->second;
      const bool fits = is_count ? value.scalar_type() == at::kLong && value.numel() == 1
                                 : value.sizes() == parameter.sizes() && value.scalar_type() == parameter.scalar_type();
      if (!fits) throw Error(where, str("the optimizer's ", name, " of parameter ", i, " is none of it"));
      return value.to(is_count ? at::Device(at::kCPU) : parameter.device(), /*non_blocking=*/false, /*copy=*/true);
    };
    if (is_sgd) {
      const at::Tensor momentum = find(kMomentum);
      if (!momentum.defined()) continue;
      auto own = std::make_unique<torch::optim::SGDParamState>();
      own->momentum_buffer(momentum);
      optimizer.state()[parameter.unsafeGetTensorImpl()] = std::move(own);
    } else {
      const at::Tensor steps = find(kSteps, true), mean = find(kMean), squares = find(kSquares);
      if (!steps.defined() && !mean.defined() && !squares.defined()) continue;
      if (!steps.defined() || !mean.defined() || !squares.defined()) {
        throw Error(where, str("the optimizer's state of parameter ", i, " is not whole"));
      }
      auto own = std::make_unique<torch::optim::AdamWParamState>();
      own->step(steps.item<int64_t>());
      own->exp_avg(mean);
      own->exp_avg_sq(squares);
      optimizer.state()[parameter.unsafeGetTensorImpl()] = std::move(own);
    }
  }
  if (used != state.size()) throw Error(where, "holds the state of another optimizer");
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
