#include "octet/models/autoencoder.h"

#include "octet/models/layers.h"

namespace octet {

Autoencoder::Autoencoder(const AutoencoderOptions& options)
    : Model("Autoencoder"), options_(options), layers_(std::make_shared<layers::Chain>()) {
  layers::require_positive("autoencoder", "features", options_.features);
  int64_t in = options_.features;
  for (const int64_t out : {128, 128, 128, 128, 8, 128, 128, 128, 128}) {
    const auto& norm = layers::kKerasNorm;
    auto layer = std::make_shared<layers::Chain>();
    layer->add(layers::linear(in, out))
        .add(std::make_shared<torch::nn::BatchNorm1dImpl>(
            torch::nn::BatchNorm1dOptions(out).eps(norm.eps).momentum(norm.momentum)))
        .add(std::make_shared<layers::Activate>(layers::Activation::kRelu));
    layers_->add(layer);
    in = out;
  }
  register_module("layers", layers_);
  register_module("out", layers::linear(in, options_.features));
}

at::Tensor Autoencoder::forward(const at::Tensor& x) {
  return named_children()["out"]->as<layers::Linear>()->forward(layers_->forward(x));
}

}  // namespace octet
