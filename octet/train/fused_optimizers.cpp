#include "octet/train/fused_optimizers.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>

#include <algorithm>

#include "octet/kernels/reference_path.h"

namespace octet {
namespace {

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

// The kernels walk over memory: a parameter, its gradient and its state lie alike.
bool lies_alike(const at::Tensor& parameter, const at::Tensor& other) {
  if (!other.device().is_cpu() || other.layout() != at::kStrided) return false;
  if (other.scalar_type() != parameter.scalar_type() || other.sizes() != parameter.sizes()) return false;
  for (int64_t i = 0; i < parameter.dim(); ++i) {
    if (parameter.size(i) != 1 && parameter.stride(i) != other.stride(i)) return false;
  }
  return true;
}

// `state` gives what a step reads of a parameter besides.
template <typename State>
bool all_lie_alike(Groups& groups, const State& state) {
  for (torch::optim::OptimizerParamGroup& group : groups) {
    for (const at::Tensor& parameter : group.params()) {
      const at::Tensor& gradient = parameter.grad();
      if (!gradient.defined()) continue;
      const bool fits = parameter.is_non_overlapping_and_dense() && lies_alike(parameter, parameter) &&
                        lies_alike(parameter, gradient);
      if (!fits) return false;
      for (const at::Tensor& each : state(parameter)) {
        if (each.defined() && !lies_alike(parameter, each)) return false;
      }
    }
  }
  return true;
}

at::Tensor loss_of(const torch::optim::Optimizer::LossClosure& closure) {
  if (closure == nullptr) return {};
  const at::AutoGradMode with_gradients(true);
  return closure();
}

// Of a parameter; made where there is none yet.
template <typename State>
State& state_of_parameter(torch::optim::Optimizer& optimizer, const at::Tensor& parameter) {
  auto& entry = optimizer.state()[parameter.unsafeGetTensorImpl()];
  if (!entry) entry = std::make_unique<State>();
  return static_cast<State&>(*entry);
}

template <typename State>
const State* known_state(torch::optim::Optimizer& optimizer, const at::Tensor& parameter) {
  const auto found = optimizer.state().find(parameter.unsafeGetTensorImpl());
  return found == optimizer.state().end() ? nullptr : static_cast<const State*>(found->second.get());
}

// The same memory in one row: ATen's operators copy what is not contiguous, channels last too.
std::vector<at::Tensor> rows_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& each : tensors) {
    rows.push_back(each.is_contiguous() ? each : each.as_strided({each.numel()}, {1}));
  }
  return rows;
}

// What one call of the kernel updates: tensors that have, or have not yet, a momentum.
struct SgdLists {
  std::vector<at::Tensor> parameters, gradients, momenta;
};

void fused_sgd(const SgdLists& lists, const torch::optim::SGDOptions& options, bool is_first) {
  if (lists.parameters.empty()) return;
  at::_fused_sgd_(rows_of(lists.parameters), rows_of(lists.gradients), rows_of(lists.momenta), options.weight_decay(),
                  options.momentum(), options.lr(), options.dampening(), options.nesterov(), /*maximize=*/false,
                  is_first);
}

}  // namespace

at::Tensor FusedSgd::step(LossClosure closure) {
  const at::NoGradGuard no_grad;
  using State = torch::optim::SGDParamState;
  const auto momentum_of = [&](const at::Tensor& parameter) {
    const State* state = known_state<State>(*this, parameter);
    return std::vector<at::Tensor>{state == nullptr ? at::Tensor() : state->momentum_buffer()};
  };
  if (reference_path() || !all_lie_alike(param_groups_, momentum_of)) return SGD::step(std::move(closure));
  const at::Tensor loss = loss_of(closure);
  for (torch::optim::OptimizerParamGroup& group : param_groups_) {
    const auto& options = static_cast<torch::optim::SGDOptions&>(group.options());
    SgdLists first, later;
    for (const at::Tensor& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      at::Tensor momentum;
      SgdLists* lists = &later;
      if (options.momentum() != 0) {
        State& state = state_of_parameter<State>(*this, parameter);
        if (!state.momentum_buffer().defined()) {
          state.momentum_buffer(at::empty_like(parameter));
          lists = &first;
        }
        lists->momenta.push_back(state.momentum_buffer());
      }
      lists->parameters.push_back(parameter);
      lists->gradients.push_back(parameter.grad());
    }
    fused_sgd(first, options, true);
    fused_sgd(later, options, false);
  }
  return loss;
}

at::Tensor FusedAdamW::step(LossClosure closure) {
  const at::NoGradGuard no_grad;
  using State = torch::optim::AdamWParamState;
  const auto moments_of = [&](const at::Tensor& parameter) {
    const State* state = known_state<State>(*this, parameter);
    return state == nullptr ? std::vector<at::Tensor>()
                            : std::vector<at::Tensor>{state->exp_avg(), state->exp_avg_sq()};
  };
  const bool amsgrad = std::any_of(param_groups_.begin(), param_groups_.end(), [](auto& group) {
    return static_cast<torch::optim::AdamWOptions&>(group.options()).amsgrad();
  });
  if (amsgrad || reference_path() || !all_lie_alike(param_groups_, moments_of)) {
    return AdamW::step(std::move(closure));
  }
  const at::Tensor loss = loss_of(closure);
  for (torch::optim::OptimizerParamGroup& group : param_groups_) {
    const auto& options = static_cast<torch::optim::AdamWOptions&>(group.options());
    std::vector<at::Tensor> parameters, gradients, means, squares, steps;
    for (const at::Tensor& parameter : group.params()) {
      if (!parameter.grad().defined()) continue;
      State& state = state_of_parameter<State>(*this, parameter);
      if (!state.exp_avg().defined()) {
        state.step(0);
        state.exp_avg(at::zeros_like(parameter));
        state.exp_avg_sq(at::zeros_like(parameter));
      }
      state.step(state.step() + 1);
      parameters.push_back(parameter);
      gradients.push_back(parameter.grad());
      means.push_back(state.exp_avg());
      squares.push_back(state.exp_avg_sq());
      steps.push_back(at::full({}, static_cast<double>(state.step()), at::kFloat));
    }
    if (parameters.empty()) continue;
    const auto [beta1, beta2] = options.betas();
    at::_fused_adamw_(rows_of(parameters), rows_of(gradients), rows_of(means), rows_of(squares), {}, steps,
                      options.lr(), beta1, beta2, options.weight_decay(), options.eps(), /*amsgrad=*/false,
                      /*maximize=*/false);
  }
  return loss;
}

}  // namespace octet
