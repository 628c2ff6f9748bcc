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

at::Tensor batch_norm(const at::Tensor& input, const std::optional<at::Tensor>& weight,
                      const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& running_mean,
                      const std::optional<at::Tensor>& running_var, bool training, double momentum, double eps,
                      bool cudnn_enabled) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  if (!training || meeting == nullptr) {
    return at::batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps, cudnn_enabled);
  }
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
  {
    const at::NoGradGuard no_grad;
    if (running_mean && running_mean->defined()) running_mean->lerp_(mean.detach(), momentum);
    if (running_var && running_var->defined()) {
      running_var->lerp_(variance.detach() * (count / (count - 1).clamp_min(1)), momentum);
    }
  }
  at::Tensor result = centred * (variance + eps).rsqrt().view(shape);
  if (weight && weight->defined()) result = result * weight->view(shape);
  if (bias && bias->defined()) result = result + bias->view(shape);
  return result;
}

TORCH_LIBRARY_IMPL(aten, TESTING_ONLY_GenericWrapper, library) { library.impl("batch_norm", &batch_norm); }
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
