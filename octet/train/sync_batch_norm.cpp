#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "octet/graph/fused_steps.h"
#include "octet/support/error.h"
#include "octet/train/group.h"

namespace octet {
namespace {

// A key above autograd that nothing else uses; kernels on it run only while a SyncBatchNorm stands.
constexpr c10::DispatchKey kKey = c10::DispatchKey::TESTING_ONLY_GenericWrapper;

Group* meeting = nullptr;  // of the SyncBatchNorm that stands

// The sum over all ranks; so is the gradient's way back.
struct SumOfRanks : torch::autograd::Function<SumOfRanks> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) {
    at::Tensor all = x.clone();
    meeting->sum({all});
    return all;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    at::Tensor all = gradients.at(0).clone();
    meeting->sum({all});
    return {all};
  }
};

using Values = std::optional<at::Tensor>;

const at::Tensor& or_undefined(const Values& values) {
  static const at::Tensor none;
  return values ? *values : none;
}

struct Normalized {
  at::Tensor result;
  at::Tensor mean;      // of the channels, of all ranks
  at::Tensor variance;  // biased
  at::Tensor unbiased;
};

Normalized normalized(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias, double eps) {
  std::vector<int64_t> others, shape(static_cast<size_t>(input.dim()), 1);
  for (int64_t i = 0; i < input.dim(); ++i) {
    if (i != 1) others.push_back(i);
  }
  const int64_t channels = input.size(1);
  shape[1] = channels;
  const auto own = static_cast<double>(input.numel() / std::max<int64_t>(1, channels));
  const at::Tensor sums = SumOfRanks::apply(at::cat({input.sum(others), at::full({1}, own, input.options())}));
  const at::Tensor count = sums.narrow(0, channels, 1).detach();
  const at::Tensor mean = sums.narrow(0, 0, channels) / count;
  const at::Tensor centred = input - mean.view(shape);
  const at::Tensor variance = SumOfRanks::apply(centred.square().sum(others)) / count;
  at::Tensor result = centred * (variance + eps).rsqrt().view(shape);
  if (weight.defined()) result = result * weight.view(shape);
  if (bias.defined()) result = result + bias.view(shape);
  return {result, mean.detach(), variance.detach(), variance.detach() * (count / (count - 1).clamp_min(1))};
}

void move_towards(const at::Tensor& running, const at::Tensor& batch, double momentum) {
  const at::NoGradGuard no_grad;
  if (running.defined()) running.detach().lerp_(batch.to(running.scalar_type()), momentum);
}

bool meets(bool training) { return training && meeting != nullptr; }

at::Tensor batch_norm(const at::Tensor& input, const Values& weight, const Values& bias, const Values& running_mean,
                      const Values& running_var, bool training, double momentum, double eps, bool cudnn_enabled) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  if (!meets(training)) {
    return at::batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled);
  }
  const Normalized made = normalized(input, or_undefined(weight), or_undefined(bias), eps);
  move_towards(or_undefined(running_mean), made.mean, momentum);
  move_towards(or_undefined(running_var), made.unbiased, momentum);
  return made.result;
}

// The forms that export leaves of it: the result, mean and 1 / deviation of the batch, and what some of them add.
using Three = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
Three three(const Normalized& made, double eps) { return {made.result, made.mean, (made.variance + eps).rsqrt()}; }

Three in_three(const at::Tensor& input, const Values& weight, const Values& bias, const Values& running_mean,
               const Values& running_var, bool training, double momentum, double eps) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  if (!meets(training)) {
    return at::native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps);
  }
  const Normalized made = normalized(input, or_undefined(weight), or_undefined(bias), eps);
  move_towards(or_undefined(running_mean), made.mean, momentum);
  move_towards(or_undefined(running_var), made.unbiased, momentum);
  return three(made, eps);
}

Three legit(const at::Tensor& input, const Values& weight, const Values& bias, at::Tensor& running_mean,
            at::Tensor& running_var, bool training, double momentum, double eps) {
  return in_three(input, weight, bias, running_mean, running_var, training, momentum, eps);
}

Three legit_no_stats(const at::Tensor& input, const Values& weight, const Values& bias, bool training, double momentum,
                     double eps) {
  return in_three(input, weight, bias, std::nullopt, std::nullopt, training, momentum, eps);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> legit_functional(
    const at::Tensor& input, const Values& weight, const Values& bias, const at::Tensor& running_mean,
    const at::Tensor& running_var, bool training, double momentum, double eps) {
  const at::Tensor mean = running_mean.clone(), variance = running_var.clone();
  const auto [result, of_batch, inverse] = in_three(input, weight, bias, mean, variance, training, momentum, eps);
  return {result, of_batch, inverse, mean, variance};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> with_update(const at::Tensor& input, const Values& weight,
                                                                       const Values& bias, at::Tensor& running_mean,
                                                                       at::Tensor& running_var, double momentum,
                                                                       double eps) {
  const auto [result, mean, inverse] =
      in_three(input, weight, bias, running_mean, running_var, /*training=*/true, momentum, eps);
  return {result, mean, inverse, at::empty({0}, input.options().dtype(at::kByte))};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor> with_update_functional(
    const at::Tensor& input, const Values& weight, const Values& bias, const at::Tensor& running_mean,
    const at::Tensor& running_var, double momentum, double eps) {
  at::Tensor mean = running_mean.clone(), variance = running_var.clone();
  const auto [result, of_batch, inverse, reserve] = with_update(input, weight, bias, mean, variance, momentum, eps);
  return {result, of_batch, inverse, reserve, mean, variance};
}

// Normalizes each sample by itself, by a batch_norm of libtorch's that must not meet others.
at::Tensor instance_norm(const at::Tensor& input, const Values& weight, const Values& bias, const Values& running_mean,
                         const Values& running_var, bool use_input_stats, double momentum, double eps,
                         bool cudnn_enabled) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  return at::instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps,
                           cudnn_enabled);
}

TORCH_LIBRARY_IMPL(aten, TESTING_ONLY_GenericWrapper, library) {
  library.impl("batch_norm", &batch_norm);
  library.impl("native_batch_norm", &in_three);
  library.impl("_native_batch_norm_legit", &legit);
  library.impl("_native_batch_norm_legit.no_stats", &legit_no_stats);
  library.impl("_native_batch_norm_legit_functional", &legit_functional);
  library.impl("_batch_norm_with_update", &with_update);
  library.impl("_batch_norm_with_update_functional", &with_update_functional);
  library.impl("instance_norm", &instance_norm);
}
TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericWrapper, library) { library.fallback(torch::CppFunction::makeFallthrough()); }

}  // namespace

// Steps that run as one call normalize by themselves.
struct SyncBatchNorm::Guard {
  Guard() { set_fuses_steps(false); }
  ~Guard() { set_fuses_steps(fused); }
  bool fused = fuses_steps();
  c10::impl::IncludeDispatchKeyGuard included{kKey};
};

SyncBatchNorm::SyncBatchNorm(Group& group) {
  if (meeting != nullptr) throw Error("SyncBatchNorm", "one stands already");
  meeting = &group;
  guard_ = std::make_unique<Guard>();
}

SyncBatchNorm::~SyncBatchNorm() {
  guard_.reset();
  meeting = nullptr;
}

}  // namespace octet
