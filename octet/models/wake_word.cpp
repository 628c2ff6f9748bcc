#include "octet/models/wake_word.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

// Along dimension 2, each channel by itself, then across the channels.
class FramesBlock : public torch::nn::Module {
 public:
  FramesBlock(int64_t in, int64_t out, int64_t frames)
      : depthwise_(
            register_module("depthwise", std::make_shared<torch::nn::Conv2dImpl>(
                                             torch::nn::Conv2dOptions(in, in, {frames, 1}).groups(in).bias(false)))),
        pointwise_(register_module("pointwise", layers::conv(in, out, 1))),
        bn_(register_module("bn", layers::batch_norm(out, layers::kKerasNorm))) {}

  at::Tensor forward(const at::Tensor& x) {
    return activate(bn_->forward(pointwise_->forward(depthwise_->forward(x))), layers::Activation::kRelu);
  }

 private:
  std::shared_ptr<torch::nn::Conv2dImpl> depthwise_;
  std::shared_ptr<layers::Conv> pointwise_;
  std::shared_ptr<layers::BatchNorm> bn_;
};

}  // namespace

WakeWord::WakeWord(const WakeWordOptions& options)
    : Model("WakeWord"), options_(options), blocks_(std::make_shared<layers::Chain>()) {
  layers::require_sound("wake_word", options_);
  const int64_t wide = layers::make_divisible(128 * options_.width, 8);
  const int64_t last = layers::make_divisible(32 * options_.width, 8);
  blocks_->add(std::make_shared<FramesBlock>(options_.in_channels, wide, 3))
      .add(std::make_shared<FramesBlock>(wide, wide, 5))
      .add(std::make_shared<FramesBlock>(wide, wide, 10))
      .add(std::make_shared<FramesBlock>(wide, last, 15));
  register_module("blocks", blocks_);
  register_module("fc", layers::linear(last, options_.num_classes));
  layers::initialise(*this);
}

at::Tensor WakeWord::forward(const at::Tensor& x) {
  return named_children()["fc"]->as<layers::Linear>()->forward(at::flatten(blocks_->forward(x), 1));
}

}  // namespace octet
