#include "octet/models/ds_cnn.h"

#include "octet/models/layers.h"

namespace octet {

DsCnn::DsCnn(const DsCnnOptions& options)
    : Model("DsCnn"), options_(options), blocks_(std::make_shared<layers::Chain>()) {
  layers::require_sound("ds_cnn", options_);
  const int64_t channels = layers::make_divisible(64 * options_.width, 8);
  const layers::ConvOptions strided{.stride = 2, .bias = true, .same = true};
  register_module(
      "conv", std::make_shared<layers::Conv>(options_.in_channels, channels, std::array<int64_t, 2>{10, 4}, strided));
  register_module("bn", layers::batch_norm(channels, layers::kKerasNorm));
  register_module("dropout1", layers::dropout(options_.dropout / 2));
  for (int i = 0; i < 4; ++i) blocks_->add(std::make_shared<layers::SeparableBlock>(channels, channels, 1));
  register_module("blocks", blocks_);
  register_module("dropout2", layers::dropout(options_.dropout));
  register_module("fc", layers::linear(channels, options_.num_classes));
  layers::initialise(*this);
}

at::Tensor DsCnn::forward(const at::Tensor& input) {
  auto children = named_children();
  const auto drop = [&](const char* name, const at::Tensor& x) {
    return children[name]->as<torch::nn::DropoutImpl>()->forward(x);
  };
  at::Tensor x = children["bn"]->as<layers::BatchNorm>()->forward(children["conv"]->as<layers::Conv>()->forward(input));
  x = blocks_->forward(drop("dropout1", activate(x, layers::Activation::kRelu)));
  return children["fc"]->as<layers::Linear>()->forward(layers::pooled(drop("dropout2", x)));
}

}  // namespace octet
