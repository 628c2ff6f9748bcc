#include "octet/models/mobilenet_v3.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

using layers::Activation;

constexpr layers::Norm kNorm = {1e-3, 0.01};

struct Bneck {
  int64_t kernel, expanded, out;
  bool squeezes;
  Activation activation;
  int64_t stride;
};
constexpr Activation kRe = Activation::kRelu;
constexpr Activation kHs = Activation::kHardswish;
const std::vector<Bneck> kLarge = {
    {3, 16, 16, false, kRe, 1},  {3, 64, 24, false, kRe, 2},  {3, 72, 24, false, kRe, 1},  {5, 72, 40, true, kRe, 2},
    {5, 120, 40, true, kRe, 1},  {5, 120, 40, true, kRe, 1},  {3, 240, 80, false, kHs, 2}, {3, 200, 80, false, kHs, 1},
    {3, 184, 80, false, kHs, 1}, {3, 184, 80, false, kHs, 1}, {3, 480, 112, true, kHs, 1}, {3, 672, 112, true, kHs, 1},
    {5, 672, 160, true, kHs, 2}, {5, 960, 160, true, kHs, 1}, {5, 960, 160, true, kHs, 1}};
const std::vector<Bneck> kSmall = {{3, 16, 16, true, kRe, 2},  {3, 72, 24, false, kRe, 2}, {3, 88, 24, false, kRe, 1},
                                   {5, 96, 40, true, kHs, 2},  {5, 240, 40, true, kHs, 1}, {5, 240, 40, true, kHs, 1},
                                   {5, 120, 48, true, kHs, 1}, {5, 144, 48, true, kHs, 1}, {5, 288, 96, true, kHs, 2},
                                   {5, 576, 96, true, kHs, 1}, {5, 576, 96, true, kHs, 1}};

// torchvision.ops.SqueezeExcitation with a hardsigmoid: each channel times what the means of all say.
class SqueezeExcitation : public torch::nn::Module {
 public:
  SqueezeExcitation(int64_t channels, int64_t squeezed)
      : fc1_(register_module("fc1", layers::conv(channels, squeezed, 1, {.bias = true}))),
        fc2_(register_module("fc2", layers::conv(squeezed, channels, 1, {.bias = true}))) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor squeezed = at::relu(fc1_->forward(at::adaptive_avg_pool2d(x, {1, 1})));
    return at::mul(at::hardsigmoid(fc2_->forward(squeezed)), x);
  }

 private:
  std::shared_ptr<layers::Conv> fc1_;
  std::shared_ptr<layers::Conv> fc2_;
};

class BneckBlock : public torch::nn::Module {
 public:
  BneckBlock(int64_t in, int64_t expanded, int64_t out, const Bneck& row)
      : residual_(row.stride == 1 && in == out), block_(std::make_shared<layers::Chain>()) {
    if (expanded != in) block_->add(layers::conv_bn_act(in, expanded, 1, row.activation, {}, kNorm));
    block_->add(layers::conv_bn_act(expanded, expanded, row.kernel, row.activation,
                                    {.stride = row.stride, .groups = expanded}, kNorm));
    if (row.squeezes) {
      const int64_t squeezed = layers::make_divisible(static_cast<double>(expanded / 4), 8);
      block_->add(std::make_shared<SqueezeExcitation>(expanded, squeezed));
    }
    block_->add(layers::conv_bn_act(expanded, out, 1, Activation::kNone, {}, kNorm));
    register_module("block", block_);
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor result = block_->forward(x);
    return residual_ ? result.add_(x) : result;
  }

 private:
  bool residual_;
  std::shared_ptr<layers::Chain> block_;
};

}  // namespace

MobileNetV3::MobileNetV3(const MobileNetV3Options& options)
    : Model("MobileNetV3"),
      options_(options),
      features_(std::make_shared<layers::Chain>()),
      classifier_(std::make_shared<layers::Chain>()) {
  layers::require_sound("mobilenet_v3", options_);
  const auto scaled = [&](int64_t channels) {
    return layers::make_divisible(static_cast<double>(channels) * options_.width, 8);
  };
  int64_t channels = scaled(16);
  features_->add(layers::conv_bn_act(options_.in_channels, channels, 3, kHs, {.stride = 2}, kNorm));
  for (const Bneck& row : options_.large ? kLarge : kSmall) {
    const int64_t out = scaled(row.out);
    features_->add(std::make_shared<BneckBlock>(channels, scaled(row.expanded), out, row));
    channels = out;
  }
  features_->add(layers::conv_bn_act(channels, 6 * channels, 1, kHs, {}, kNorm));
  register_module("features", features_);
  const int64_t last = scaled(options_.large ? 1280 : 1024);
  classifier_->add(layers::linear(6 * channels, last))
      .add(std::make_shared<layers::Activate>(kHs))
      .add(layers::dropout(options_.dropout, /*in_place=*/true))
      .add(layers::linear(last, options_.num_classes));
  register_module("classifier", classifier_);
  layers::initialise(*this);
}

at::Tensor MobileNetV3::forward(const at::Tensor& x) {
  return classifier_->forward(layers::pooled(features_->forward(x)));
}

}  // namespace octet
