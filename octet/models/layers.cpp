#include "octet/models/layers.h"

#include <torch/nn/init.h>

#include "octet/support/error.h"

namespace octet::layers {
namespace {

// In front of a dimension and behind it.
std::pair<int64_t, int64_t> same_padding(int64_t size, int64_t kernel, int64_t stride) {
  const int64_t out = (size + stride - 1) / stride;
  const int64_t all = std::max<int64_t>((out - 1) * stride + kernel - size, 0);
  return {all / 2, all - all / 2};
}

}  // namespace

at::Tensor Chain::forward(const at::Tensor& x) {
  at::Tensor value = x;
  for (const auto& step : steps_) value = step(value);
  return value;
}

at::Tensor activate(at::Tensor x, Activation kind) {
  switch (kind) {
    case Activation::kRelu:
      return at::relu_(x);
    case Activation::kRelu6:
      return at::hardtanh_(x, 0.0, 6.0);
    case Activation::kHardswish:
      return at::hardswish_(x);
    case Activation::kNone:
      break;
  }
  return x;
}

Conv::Conv(int64_t in, int64_t out, std::array<int64_t, 2> kernel, const ConvOptions& given)
    : Conv2dImpl(torch::nn::Conv2dOptions(in, out, {kernel[0], kernel[1]})
                     .stride(given.stride)
                     .padding({given.same ? 0 : (kernel[0] - 1) / 2, given.same ? 0 : (kernel[1] - 1) / 2})
                     .groups(given.groups)
                     .bias(given.bias)),
      same_(given.same) {}

at::Tensor Conv::forward(const at::Tensor& x) {
  if (!same_) return Conv2dImpl::forward(x);
  const auto& kernel = *options.kernel_size();
  const auto& stride = *options.stride();
  const auto [top, bottom] = same_padding(x.size(2), kernel[0], stride[0]);
  const auto [left, right] = same_padding(x.size(3), kernel[1], stride[1]);
  if (top == bottom && left == right) {
    return at::conv2d(x, weight, bias, {stride[0], stride[1]}, {top, left}, {1, 1}, options.groups());
  }
  return Conv2dImpl::forward(at::pad(x, {left, right, top, bottom}));
}

std::shared_ptr<Conv> conv(int64_t in, int64_t out, int64_t kernel, const ConvOptions& options) {
  return std::make_shared<Conv>(in, out, std::array<int64_t, 2>{kernel, kernel}, options);
}

std::shared_ptr<BatchNorm> batch_norm(int64_t channels, const Norm& norm) {
  return std::make_shared<BatchNorm>(torch::nn::BatchNorm2dOptions(channels).eps(norm.eps).momentum(norm.momentum));
}

std::shared_ptr<Linear> linear(int64_t in, int64_t out) { return std::make_shared<Linear>(in, out); }

std::shared_ptr<torch::nn::DropoutImpl> dropout(double probability, bool in_place) {
  return std::make_shared<torch::nn::DropoutImpl>(torch::nn::DropoutOptions(probability).inplace(in_place));
}

std::shared_ptr<Chain> conv_bn_act(int64_t in, int64_t out, int64_t kernel, Activation activation,
                                   const ConvOptions& options, const Norm& norm) {
  auto chain = std::make_shared<Chain>();
  chain->add(conv(in, out, kernel, options)).add(batch_norm(out, norm));
  if (activation != Activation::kNone) chain->add(std::make_shared<Activate>(activation));
  return chain;
}

SeparableBlock::SeparableBlock(int64_t in, int64_t out, int64_t stride)
    : depthwise_(
          register_module("depthwise", conv(in, in, 3, {.stride = stride, .groups = in, .bias = true, .same = true}))),
      bn1_(register_module("bn1", batch_norm(in, kKerasNorm))),
      pointwise_(register_module("pointwise", conv(in, out, 1, {.bias = true}))),
      bn2_(register_module("bn2", batch_norm(out, kKerasNorm))) {}

at::Tensor SeparableBlock::forward(const at::Tensor& x) {
  const at::Tensor y = activate(bn1_->forward(depthwise_->forward(x)), Activation::kRelu);
  return activate(bn2_->forward(pointwise_->forward(y)), Activation::kRelu);
}

at::Tensor pooled(const at::Tensor& x) { return at::flatten(at::adaptive_avg_pool2d(x, {1, 1}), 1); }

void initialise_convolutions(torch::nn::Module& module) {
  namespace init = torch::nn::init;
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv_module = child->as<torch::nn::Conv2dImpl>()) {
      init::kaiming_normal_(conv_module->weight, /*a=*/0, torch::kFanOut);
      if (conv_module->bias.defined()) init::zeros_(conv_module->bias);
    } else if (auto* norm = child->as<torch::nn::BatchNorm2dImpl>()) {
      init::ones_(norm->weight);
      init::zeros_(norm->bias);
    }
  }
}

void initialise(torch::nn::Module& module) {
  namespace init = torch::nn::init;
  initialise_convolutions(module);
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* linear_module = child->as<torch::nn::LinearImpl>()) {
      init::normal_(linear_module->weight, 0, 0.01);
      if (linear_module->bias.defined()) init::zeros_(linear_module->bias);
    }
  }
}

int64_t make_divisible(double value, int64_t divisor) {
  int64_t rounded = static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor;
  rounded = std::max(divisor, rounded);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

void require_positive(const char* model, const char* what, int64_t value) {
  if (value < 1) throw expected(model, what, "at least 1", str(value));
}

void require_width(const char* model, double width) {
  if (!(width > 0.0 && width <= 16.0)) throw expected(model, "width", "over 0, at most 16", str(width));
}

void require_dropout(const char* model, double dropout) {
  if (!(dropout >= 0.0 && dropout < 1.0)) throw expected(model, "dropout", "from 0 up to but not 1", str(dropout));
}

}  // namespace octet::layers
