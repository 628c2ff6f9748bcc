#pragma once
// Internal to octet/models: building blocks. Costs torch/nn's headers; not for other rooms.

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace octet::layers {

/// torch.nn.Sequential that nests: children are called "0", "1", ... as in Python's state dicts.
class Chain : public torch::nn::Module {
 public:
  /// `module` has `at::Tensor forward(const at::Tensor&)`.
  template <typename M>
  Chain& add(std::shared_ptr<M> module) {
    M* raw = module.get();
    register_module(std::to_string(steps_.size()), std::move(module));
    steps_.push_back([raw](const at::Tensor& x) { return raw->forward(x); });
    return *this;
  }
  at::Tensor forward(const at::Tensor& x);
  size_t size() const { return steps_.size(); }

 private:
  std::vector<std::function<at::Tensor(const at::Tensor&)>> steps_;
};

/// ReLU6 in place, the operator that torch.nn.ReLU6(inplace=True) exports to: aten.hardtanh_ with 0 and 6.
class Relu6 : public torch::nn::Module {
 public:
  at::Tensor forward(const at::Tensor& x);
};

/// Square kernel, "same" padding of an odd kernel.
std::shared_ptr<torch::nn::Conv2dImpl> conv(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool bias,
                                            int64_t groups = 1);
std::shared_ptr<torch::nn::BatchNorm2dImpl> batch_norm(int64_t channels);
/// torchvision's Conv2dNormActivation with ReLU6: children "0" (conv without bias), "1" (BatchNorm), "2" (ReLU6).
std::shared_ptr<Chain> conv_bn_relu6(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups = 1);

/// torchvision's initialisation of MobileNetV2: convolutions He-normal over the fan out, BatchNorm 1 and 0, linear
/// weights N(0, 0.01), biases 0. Draws from libtorch's default generator.
void initialise(torch::nn::Module& module);

}  // namespace octet::layers
