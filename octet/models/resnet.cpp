#include "octet/models/resnet.h"

#include "octet/models/layers.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using layers::Activation;

// A block: convolutions with their BatchNorms, `conv1`, `bn1`, ..., ReLU between them, and behind the sum.
class ResidualBlock : public torch::nn::Module {
 public:
  struct Part {
    int64_t in, out, kernel, stride, groups;
  };

  ResidualBlock(const std::vector<Part>& parts, int64_t stride) {
    for (size_t i = 0; i < parts.size(); ++i) {
      const Part& part = parts[i];
      const std::string number = std::to_string(i + 1);
      convs_.push_back(register_module("conv" + number, layers::conv(part.in, part.out, part.kernel,
                                                                     {.stride = part.stride, .groups = part.groups})));
      norms_.push_back(register_module("bn" + number, layers::batch_norm(part.out)));
    }
    const int64_t in = parts.front().in, out = parts.back().out;
    if (stride == 1 && in == out) return;
    downsample_ = register_module("downsample", std::make_shared<layers::Chain>());
    downsample_->add(layers::conv(in, out, 1, {.stride = stride})).add(layers::batch_norm(out));
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = x;
    for (size_t i = 0; i < convs_.size(); ++i) {
      y = norms_[i]->forward(convs_[i]->forward(y));
      if (i + 1 < convs_.size()) y = activate(y, Activation::kRelu);
    }
    y.add_(downsample_ ? downsample_->forward(x) : x);
    return activate(y, Activation::kRelu);
  }

 private:
  std::vector<std::shared_ptr<layers::Conv>> convs_;
  std::vector<std::shared_ptr<layers::BatchNorm>> norms_;
  std::shared_ptr<layers::Chain> downsample_;
};

void check_resnet(const ResNetOptions& options) {
  constexpr const char* kWhere = "resnet";
  for (const int64_t count : options.blocks) layers::require_positive(kWhere, "blocks", count);
  layers::require_sound(kWhere, options);
  layers::require_positive(kWhere, "groups", options.groups);
  layers::require_positive(kWhere, "width_per_group", options.width_per_group);
  if (!options.bottleneck && (options.groups != 1 || options.width_per_group != 64)) {
    throw Error(kWhere, "groups and width_per_group are of bottlenecks");
  }
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options) : Model("ResNet"), in_channels_(options.in_channels) {
  check_resnet(options);
  register_module("conv1", layers::conv(in_channels_, 64, 7, {.stride = 2}));
  register_module("bn1", layers::batch_norm(64));
  const int64_t expansion = options.bottleneck ? 4 : 1;
  int64_t in = 64;
  for (size_t stage = 0; stage < options.blocks.size(); ++stage) {
    const int64_t planes = int64_t{64} << stage;
    const int64_t width = planes * options.width_per_group / 64 * options.groups;
    const int64_t out = planes * expansion;
    auto chain = std::make_shared<layers::Chain>();
    for (int64_t i = 0; i < options.blocks[stage]; ++i) {
      const int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      std::vector<ResidualBlock::Part> parts = {{in, planes, 3, stride, 1}, {planes, planes, 3, 1, 1}};
      if (options.bottleneck) {
        parts = {{in, width, 1, 1, 1}, {width, width, 3, stride, options.groups}, {width, out, 1, 1, 1}};
      }
      chain->add(std::make_shared<ResidualBlock>(parts, stride));
      in = out;
    }
    stages_.push_back(register_module("layer" + std::to_string(stage + 1), chain));
  }
  register_module("fc", layers::linear(in, options.num_classes));
  layers::initialise_convolutions(*this);
}

at::Tensor ResNet::forward(const at::Tensor& input) {
  auto children = named_children();
  at::Tensor x = children["conv1"]->as<layers::Conv>()->forward(input);
  x = activate(children["bn1"]->as<layers::BatchNorm>()->forward(x), Activation::kRelu);
  x = at::max_pool2d(x, {3, 3}, {2, 2}, {1, 1});
  for (const auto& stage : stages_) x = stage->forward(x);
  return children["fc"]->as<layers::Linear>()->forward(layers::pooled(x));
}

}  // namespace octet
