#include "octet/models/layers.h"

#include <torch/nn/init.h>

namespace octet::layers {

at::Tensor Chain::forward(const at::Tensor& x) {
  at::Tensor value = x;
  for (const auto& step : steps_) value = step(value);
  return value;
}

at::Tensor Relu6::forward(const at::Tensor& x) {
  at::Tensor value = x;
  return at::hardtanh_(value, 0.0, 6.0);
}

std::shared_ptr<torch::nn::Conv2dImpl> conv(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool bias,
                                            int64_t groups) {
  return std::make_shared<torch::nn::Conv2dImpl>(
      torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding((kernel - 1) / 2).groups(groups).bias(bias));
}

std::shared_ptr<torch::nn::BatchNorm2dImpl> batch_norm(int64_t channels) {
  return std::make_shared<torch::nn::BatchNorm2dImpl>(torch::nn::BatchNorm2dOptions(channels));
}

std::shared_ptr<Chain> conv_bn_relu6(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups) {
  auto chain = std::make_shared<Chain>();
  chain->add(conv(in, out, kernel, stride, /*bias=*/false, groups)).add(batch_norm(out)).add(std::make_shared<Relu6>());
  return chain;
}

void initialise(torch::nn::Module& module) {
  namespace init = torch::nn::init;
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv_module = child->as<torch::nn::Conv2dImpl>()) {
      init::kaiming_normal_(conv_module->weight, /*a=*/0, torch::kFanOut);
      if (conv_module->bias.defined()) init::zeros_(conv_module->bias);
    } else if (auto* norm = child->as<torch::nn::BatchNorm2dImpl>()) {
      init::ones_(norm->weight);
      init::zeros_(norm->bias);
    } else if (auto* linear = child->as<torch::nn::LinearImpl>()) {
      init::normal_(linear->weight, 0, 0.01);
      if (linear->bias.defined()) init::zeros_(linear->bias);
    }
  }
}

}  // namespace octet::layers
