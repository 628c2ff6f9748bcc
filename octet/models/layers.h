#pragma once
// Internal to octet/models: building blocks. Costs torch/nn's headers; not for other rooms.

#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace octet::layers {

using BatchNorm = torch::nn::BatchNorm2dImpl;
using Linear = torch::nn::LinearImpl;

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

enum class Activation { kNone, kRelu, kRelu6, kHardswish };

/// In place, the operators that torch.nn.ReLU(inplace=True) and its like export to: aten.relu_, aten.hardtanh_ with 0
/// and 6, aten.hardswish_.
at::Tensor activate(at::Tensor x, Activation kind);

/// `activate` as a module of a Chain; without parameters.
class Activate : public torch::nn::Module {
 public:
  explicit Activate(Activation kind) : kind_(kind) {}
  at::Tensor forward(const at::Tensor& x) { return activate(x, kind_); }

 private:
  Activation kind_;
};

/// Numbers of a BatchNorm; the defaults are torch's. What Keras calls a momentum of 0.99 is 0.01 here.
struct Norm {
  double eps = 1e-5;
  double momentum = 0.1;
};
inline constexpr Norm kKerasNorm = {1e-3, 0.01};

struct ConvOptions {
  int64_t stride = 1;
  int64_t groups = 1;
  bool bias = false;
  /// Padded as TensorFlow's SAME: the output is the input / stride, rounded up, and where the padding is odd the side
  /// behind has one more. Else (kernel - 1) / 2 on each side.
  bool same = false;
};

/// torch.nn.Conv2d, its padding by ConvOptions.
class Conv : public torch::nn::Conv2dImpl {
 public:
  Conv(int64_t in, int64_t out, std::array<int64_t, 2> kernel, const ConvOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  bool same_;
};
/// Square kernel.
std::shared_ptr<Conv> conv(int64_t in, int64_t out, int64_t kernel, const ConvOptions& options = {});
std::shared_ptr<BatchNorm> batch_norm(int64_t channels, const Norm& norm = {});
std::shared_ptr<Linear> linear(int64_t in, int64_t out);
std::shared_ptr<torch::nn::DropoutImpl> dropout(double probability, bool in_place = false);

/// torchvision's Conv2dNormActivation: children "0" (conv without bias), "1" (BatchNorm), and "2" (the activation)
/// where there is one.
std::shared_ptr<Chain> conv_bn_act(int64_t in, int64_t out, int64_t kernel, Activation activation,
                                   const ConvOptions& options = {}, const Norm& norm = {});

/// The block of MobileNetV1 as Keras writes it, SAME padding, convolutions with biases: `depthwise` 3x3, `bn1`, ReLU,
/// `pointwise` 1x1, `bn2`, ReLU.
class SeparableBlock : public torch::nn::Module {
 public:
  SeparableBlock(int64_t in, int64_t out, int64_t stride);
  at::Tensor forward(const at::Tensor& x);

 private:
  std::shared_ptr<Conv> depthwise_;
  std::shared_ptr<BatchNorm> bn1_;
  std::shared_ptr<Conv> pointwise_;
  std::shared_ptr<BatchNorm> bn2_;
};

/// [N, C, H, W] to [N, C]: the mean of each channel, as adaptive_avg_pool2d to 1x1 and flatten.
at::Tensor pooled(const at::Tensor& x);

/// torchvision's initialisation of MobileNetV2 and V3: convolutions He-normal over the fan out, BatchNorm 1 and 0,
/// linear weights N(0, 0.01), biases 0. Draws from libtorch's default generator.
void initialise(torch::nn::Module& module);
/// Of convolutions and BatchNorms alone, as torchvision's ResNet.
void initialise_convolutions(torch::nn::Module& module);

/// Channels rounded to the nearest multiple of `divisor`, never under it, and never more than 10 % below `value`.
int64_t make_divisible(double value, int64_t divisor);

/// Throw octet::Error "[model] what: expected at least 1, got 0" and so on.
void require_positive(const char* model, const char* what, int64_t value);
void require_width(const char* model, double width);
void require_dropout(const char* model, double dropout);

/// All of these of the options that a model has of those that models share.
template <typename Options>
void require_sound(const char* model, const Options& options) {
  if constexpr (requires { options.width; }) require_width(model, options.width);
  if constexpr (requires { options.dropout; }) require_dropout(model, options.dropout);
  if constexpr (requires { options.num_classes; }) require_positive(model, "num_classes", options.num_classes);
  if constexpr (requires { options.in_channels; }) require_positive(model, "in_channels", options.in_channels);
}

}  // namespace octet::layers
