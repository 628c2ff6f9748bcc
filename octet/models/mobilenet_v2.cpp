#include "octet/models/mobilenet_v2.h"

#include <cmath>

#include "octet/models/layers.h"
#include "octet/support/error.h"

namespace octet {
namespace {

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
    if (expansion != 1) conv_->add(layers::conv_bn_relu6(in, hidden, 1, 1));
    conv_->add(layers::conv_bn_relu6(hidden, hidden, 3, stride, /*groups=*/hidden));
    conv_->add(layers::conv(hidden, out, 1, 1, /*bias=*/false)).add(layers::batch_norm(out));
    register_module("conv", conv_);
  }

  at::Tensor forward(const at::Tensor& x) { return residual_ ? at::add(x, conv_->forward(x)) : conv_->forward(x); }

 private:
  bool residual_;
  std::shared_ptr<layers::Chain> conv_;
};

void check(const MobileNetV2Options& options) {
  const std::string where = "mobilenet_v2";
  auto positive = [&](int64_t value, const char* what) {
    if (value < 1) throw expected(where, what, "at least 1", str(value));
  };
  if (!(options.width > 0.0 && options.width <= 16.0)) {
    throw expected(where, "width", "over 0, at most 16", str(options.width));
  }
  if (!(options.dropout >= 0.0 && options.dropout < 1.0)) {
    throw expected(where, "dropout", "from 0 up to but not 1", str(options.dropout));
  }
  positive(options.num_classes, "num_classes");
  positive(options.in_channels, "in_channels");
  positive(options.round_nearest, "round_nearest");
  positive(options.input_size, "input_size");
  positive(options.last_channels + 1, "last_channels + 1");
  positive(options.stem_stride, "stem_stride");
  for (int64_t stride : options.stage_strides) positive(stride, "stage_strides");
}

}  // namespace

int64_t make_divisible(double value, int64_t divisor) {
  int64_t rounded = static_cast<int64_t>(value + static_cast<double>(divisor) / 2) / divisor * divisor;
  rounded = std::max(divisor, rounded);
  return static_cast<double>(rounded) < 0.9 * value ? rounded + divisor : rounded;
}

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
  auto scaled = [&](double channels) { return make_divisible(channels, options_.round_nearest); };
  int64_t channels = scaled(32 * options_.width);
  features_->add(layers::conv_bn_relu6(options_.in_channels, channels, 3, options_.stem_stride));
  for (size_t s = 0; s < kStages.size(); ++s) {
    int64_t out = scaled(static_cast<double>(kStages[s].channels) * options_.width);
    for (int64_t i = 0; i < kStages[s].repeats; ++i) {
      int64_t stride = i == 0 ? options_.stage_strides[s] : 1;
      features_->add(std::make_shared<InvertedResidual>(channels, out, stride, kStages[s].expansion));
      channels = out;
    }
  }
  int64_t last = options_.last_channels > 0 ? options_.last_channels : scaled(1280 * std::max(1.0, options_.width));
  features_->add(layers::conv_bn_relu6(channels, last, 1, 1));
  register_module("features", features_);
  classifier_->add(std::make_shared<torch::nn::DropoutImpl>(torch::nn::DropoutOptions(options_.dropout)));
  classifier_->add(std::make_shared<torch::nn::LinearImpl>(last, options_.num_classes));
  register_module("classifier", classifier_);
  layers::initialise(*this);
}

at::Tensor MobileNetV2::forward(const at::Tensor& x) {
  at::Tensor pooled = at::adaptive_avg_pool2d(features_->forward(x), {1, 1});
  return classifier_->forward(at::flatten(pooled, 1));
}

std::vector<int64_t> MobileNetV2::sample_shape() const {
  return {options_.in_channels, options_.input_size, options_.input_size};
}

}  // namespace octet
