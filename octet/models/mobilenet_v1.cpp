#include "octet/models/mobilenet_v1.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

struct V1Block {
  int64_t channels, stride;
};
constexpr std::array<V1Block, 13> kV1Blocks = {{{64, 1},
                                                {128, 2},
                                                {128, 1},
                                                {256, 2},
                                                {256, 1},
                                                {512, 2},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {512, 1},
                                                {1024, 2},
                                                {1024, 1}}};

}  // namespace

MobileNetV1::MobileNetV1(const MobileNetV1Options& options)
    : Model("MobileNetV1"), options_(options), blocks_(std::make_shared<layers::Chain>()) {
  layers::require_sound("mobilenet_v1", options_);
  const auto scaled = [&](int64_t channels) {
    return layers::make_divisible(static_cast<double>(channels) * options_.width, 8);
  };
  int64_t channels = scaled(32);
  register_module("conv", layers::conv(options_.in_channels, channels, 3, {.stride = 2, .bias = true, .same = true}));
  register_module("bn", layers::batch_norm(channels, layers::kKerasNorm));
  for (const V1Block& block : kV1Blocks) {
    blocks_->add(std::make_shared<layers::SeparableBlock>(channels, scaled(block.channels), block.stride));
    channels = scaled(block.channels);
  }
  register_module("blocks", blocks_);
  register_module("fc", layers::linear(channels, options_.num_classes));
  layers::initialise(*this);
}

at::Tensor MobileNetV1::forward(const at::Tensor& input) {
  auto children = named_children();
  at::Tensor x = children["bn"]->as<layers::BatchNorm>()->forward(children["conv"]->as<layers::Conv>()->forward(input));
  x = blocks_->forward(activate(x, layers::Activation::kRelu));
  return children["fc"]->as<layers::Linear>()->forward(layers::pooled(x));
}

}  // namespace octet
