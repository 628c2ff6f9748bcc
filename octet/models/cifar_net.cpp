#include "octet/models/cifar_net.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

at::Tensor padded_conv(torch::nn::Module& conv, const at::Tensor& x) {
  return conv.as<torch::nn::Conv2dImpl>()->forward(at::pad(x, {2, 2, 2, 2}));
}

std::shared_ptr<torch::nn::Conv2dImpl> conv5(int64_t in, int64_t out) {
  return std::make_shared<torch::nn::Conv2dImpl>(torch::nn::Conv2dOptions(in, out, 5));
}

}  // namespace

CifarNet::CifarNet(const CifarNetOptions& options) : Model("CifarNet"), in_channels_(options.in_channels) {
  layers::require_sound("cifarnet", options);
  register_module("conv1", conv5(options.in_channels, 32));
  register_module("conv2", conv5(32, 32));
  register_module("conv3", conv5(32, 64));
  register_module("fc", layers::linear(1024, options.num_classes));
}

at::Tensor CifarNet::forward(const at::Tensor& input) {
  auto children = named_children();
  at::Tensor x = at::max_pool2d(padded_conv(*children["conv1"], input), {2, 2}, {2, 2});
  x = at::max_pool2d(padded_conv(*children["conv2"], x), {2, 2}, {2, 2});
  x = at::max_pool2d(padded_conv(*children["conv3"], x), {1, 1}, {2, 2});
  x = children["fc"]->as<torch::nn::LinearImpl>()->forward(at::reshape(x, {-1, 1024}));
  return at::softmax(x, 1);
}

}  // namespace octet
