#include "octet/models/mobilenet_v2.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

constexpr layers::Activation kRelu6 = layers::Activation::kRelu6;

struct Stage {
  int64_t expansion, channels, repeats;
};
constexpr std::array<Stage, 7> kStages = {
    {{1, 16, 1}, {6, 24, 2}, {6, 32, 3}, {6, 64, 4}, {6, 96, 3}, {6, 160, 3}, {6, 320, 1}}};

class InvertedResidual : public torch::nn::Module {
 public:
  InvertedResidual(int64_t in, int64_t out, int64_t stride, int64_t expansion)
      : residual_(stride == 1 && in == out), conv_(std::make_shared<layers::Chain>()) {
    int64_t hidden = in * expansion;
    if (expansion != 1) conv_->add(layers::conv_bn_act(in, hidden, 1, kRelu6));
    conv_->add(layers::conv_bn_act(hidden, hidden, 3, kRelu6, {.stride = stride, .groups = hidden}));
    conv_->add(layers::conv(hidden, out, 1)).add(layers::batch_norm(out));
    register_module("conv", conv_);
  }

  at::Tensor forward(const at::Tensor& x) { return residual_ ? at::add(x, conv_->forward(x)) : conv_->forward(x); }

 private:
  bool residual_;
  std::shared_ptr<layers::Chain> conv_;
};

void check(const MobileNetV2Options& options) {
  constexpr const char* kWhere = "mobilenet_v2";
  layers::require_sound(kWhere, options);
  layers::require_positive(kWhere, "round_nearest", options.round_nearest);
  layers::require_positive(kWhere, "input_size", options.input_size);
  layers::require_positive(kWhere, "last_channels + 1", options.last_channels + 1);
  layers::require_positive(kWhere, "stem_stride", options.stem_stride);
  for (int64_t stride : options.stage_strides) layers::require_positive(kWhere, "stage_strides", stride);
}

}  // namespace

MobileNetV2Options& MobileNetV2Options::small_input(bool fine) {
  stem_stride = 2;
  stage_strides = {1, 2, 2, 2, 1, 1, 1};
  if (fine) stage_strides = {1, 1, 2, 2, 1, 2, 1};
  input_size = 32;
  return *this;
}

MobileNetV2::MobileNetV2(const MobileNetV2Options& options)
    : Model("MobileNetV2"),
      options_(options),
      features_(std::make_shared<layers::Chain>()),
      classifier_(std::make_shared<layers::Chain>()) {
  check(options_);
  auto scaled = [&](double channels) { return layers::make_divisible(channels, options_.round_nearest); };
  int64_t channels = scaled(32 * options_.width);
  features_->add(layers::conv_bn_act(options_.in_channels, channels, 3, kRelu6, {.stride = options_.stem_stride}));
  for (size_t s = 0; s < kStages.size(); ++s) {
    int64_t out = scaled(static_cast<double>(kStages[s].channels) * options_.width);
    for (int64_t i = 0; i < kStages[s].repeats; ++i) {
      int64_t stride = i == 0 ? options_.stage_strides[s] : 1;
      features_->add(std::make_shared<InvertedResidual>(channels, out, stride, kStages[s].expansion));
      channels = out;
    }
  }
  int64_t last = options_.last_channels > 0 ? options_.last_channels : scaled(1280 * std::max(1.0, options_.width));
  features_->add(layers::conv_bn_act(channels, last, 1, kRelu6));
  register_module("features", features_);
  classifier_->add(layers::dropout(options_.dropout)).add(layers::linear(last, options_.num_classes));
  register_module("classifier", classifier_);
  layers::initialise(*this);
}

at::Tensor MobileNetV2::forward(const at::Tensor& x) {
  return classifier_->forward(layers::pooled(features_->forward(x)));
}

std::vector<int64_t> MobileNetV2::sample_shape() const {
  return {options_.in_channels, options_.input_size, options_.input_size};
}

}  // namespace octet
