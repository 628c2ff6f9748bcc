#include "octet/models/efficientnet_lite.h"

#include <torch/nn/init.h>

#include <cmath>

#include "octet/models/layers.h"

namespace octet {
namespace {

using layers::Activation;

struct LiteStage {
  int64_t repeats, kernel, stride, expansion, channels;
};
constexpr std::array<LiteStage, 7> kLiteStages = {{{1, 3, 1, 1, 16},
                                                   {2, 3, 2, 6, 24},
                                                   {2, 5, 2, 6, 40},
                                                   {3, 3, 2, 6, 80},
                                                   {3, 5, 1, 6, 112},
                                                   {4, 5, 2, 6, 192},
                                                   {1, 3, 1, 6, 320}}};

// How convolutions are padded, and BatchNorm's numbers.
struct Style {
  bool tensorflow;
  layers::Norm norm() const { return {tensorflow ? 1e-3 : 1e-5, 0.1}; }
  std::shared_ptr<layers::Conv> conv(int64_t in, int64_t out, int64_t kernel, layers::ConvOptions options = {}) const {
    options.same = tensorflow;
    return layers::conv(in, out, kernel, options);
  }
};

// conv_pw, bn1, conv_dw, bn2, conv_pwl, bn3; where nothing is expanded conv_dw, bn1, conv_pw, bn2. ReLU6 behind each
// but the last.
class LiteBlock : public torch::nn::Module {
 public:
  LiteBlock(int64_t in, int64_t out, const LiteStage& stage, int64_t stride, const Style& style)
      : residual_(stride == 1 && in == out) {
    const int64_t hidden = in * stage.expansion;
    const bool expands = stage.expansion != 1;
    if (expands) add("conv_pw", style.conv(in, hidden, 1), style);
    add("conv_dw", style.conv(hidden, hidden, stage.kernel, {.stride = stride, .groups = hidden}), style);
    add(expands ? "conv_pwl" : "conv_pw", style.conv(hidden, out, 1), style);
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = x;
    for (size_t i = 0; i < convs_.size(); ++i) {
      y = norms_[i]->forward(convs_[i]->forward(y));
      if (i + 1 < convs_.size()) y = activate(y, Activation::kRelu6);
    }
    return residual_ ? at::add(y, x) : y;
  }

 private:
  void add(const std::string& name, std::shared_ptr<layers::Conv> conv, const Style& style) {
    convs_.push_back(register_module(name, std::move(conv)));
    norms_.push_back(register_module("bn" + std::to_string(convs_.size()),
                                     layers::batch_norm(convs_.back()->options.out_channels(), style.norm())));
  }

  bool residual_;
  std::vector<std::shared_ptr<layers::Conv>> convs_;
  std::vector<std::shared_ptr<layers::BatchNorm>> norms_;
};

// timm's: convolutions N(0, sqrt(2 / fan out)), the fan out of one group; linear uniform within 1 / sqrt(outputs).
void initialise_as_timm(torch::nn::Module& module) {
  namespace init = torch::nn::init;
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv = child->as<layers::Conv>()) {
      const auto fan_out = static_cast<double>(conv->weight.numel() / conv->weight.size(1) / conv->options.groups());
      init::normal_(conv->weight, 0, std::sqrt(2.0 / fan_out));
    } else if (auto* linear = child->as<layers::Linear>()) {
      const double bound = 1.0 / std::sqrt(static_cast<double>(linear->weight.size(0)));
      init::uniform_(linear->weight, -bound, bound);
      init::zeros_(linear->bias);
    }
  }
}

}  // namespace

EfficientNetLite::EfficientNetLite(const EfficientNetLiteOptions& options)
    : Model("EfficientNetLite"), options_(options), blocks_(std::make_shared<layers::Chain>()) {
  layers::require_sound("efficientnet_lite0", options_);
  constexpr int64_t kStem = 32, kHead = 1280;
  const Style style{options_.tensorflow};
  register_module("conv_stem", style.conv(options_.in_channels, kStem, 3, {.stride = 2}));
  register_module("bn1", layers::batch_norm(kStem, style.norm()));
  int64_t channels = kStem;
  for (const LiteStage& stage : kLiteStages) {
    const int64_t out = layers::make_divisible(static_cast<double>(stage.channels) * options_.width, 8);
    auto chain = std::make_shared<layers::Chain>();
    for (int64_t i = 0; i < stage.repeats; ++i) {
      chain->add(std::make_shared<LiteBlock>(channels, out, stage, i == 0 ? stage.stride : 1, style));
      channels = out;
    }
    blocks_->add(chain);
  }
  register_module("blocks", blocks_);
  register_module("conv_head", layers::conv(channels, kHead, 1));
  register_module("bn2", layers::batch_norm(kHead, style.norm()));
  register_module("dropout", layers::dropout(options_.dropout));
  register_module("classifier", layers::linear(kHead, options_.num_classes));
  initialise_as_timm(*this);
}

at::Tensor EfficientNetLite::forward(const at::Tensor& input) {
  auto children = named_children();
  const auto conv_bn = [&](const char* conv, const char* norm, const at::Tensor& x) {
    const at::Tensor y = children[conv]->as<layers::Conv>()->forward(x);
    return activate(children[norm]->as<layers::BatchNorm>()->forward(y), Activation::kRelu6);
  };
  at::Tensor x = blocks_->forward(conv_bn("conv_stem", "bn1", input));
  x = layers::pooled(conv_bn("conv_head", "bn2", x));
  x = children["dropout"]->as<torch::nn::DropoutImpl>()->forward(x);
  return children["classifier"]->as<layers::Linear>()->forward(x);
}

}  // namespace octet
