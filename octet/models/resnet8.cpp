#include "octet/models/resnet8.h"

#include "octet/models/layers.h"

namespace octet {
namespace {

using layers::batch_norm;
using layers::conv;

layers::Norm norm_of(bool tensorflow) { return tensorflow ? layers::kKerasNorm : layers::Norm(); }

class Stack : public torch::nn::Module {
 public:
  Stack(int64_t in, int64_t out, int64_t stride, bool tensorflow)
      : conv1_(register_module("conv1", conv(in, out, 3, {.stride = stride, .bias = true, .same = tensorflow}))),
        bn1_(register_module("bn1", batch_norm(out, norm_of(tensorflow)))),
        conv2_(register_module("conv2", conv(out, out, 3, {.bias = true}))),
        bn2_(register_module("bn2", batch_norm(out, norm_of(tensorflow)))) {
    if (stride != 1) shortcut_ = register_module("shortcut", conv(in, out, 1, {.stride = stride, .bias = true}));
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = at::relu(bn1_->forward(conv1_->forward(x)));
    y = bn2_->forward(conv2_->forward(y));
    return at::relu(at::add(shortcut_ ? shortcut_->forward(x) : x, y));
  }

 private:
  std::shared_ptr<layers::Conv> conv1_;
  std::shared_ptr<layers::BatchNorm> bn1_;
  std::shared_ptr<layers::Conv> conv2_;
  std::shared_ptr<layers::BatchNorm> bn2_;
  std::shared_ptr<layers::Conv> shortcut_;
};

}  // namespace

ResNet8::ResNet8(const ResNet8Options& options) : Model("ResNet8"), in_channels_(options.in_channels) {
  layers::require_sound("resnet8", options);
  register_module("conv", conv(options.in_channels, 16, 3, {.bias = true}));
  register_module("bn", batch_norm(16, norm_of(options.tensorflow)));
  register_module("stack1", std::make_shared<Stack>(16, 16, 1, options.tensorflow));
  register_module("stack2", std::make_shared<Stack>(16, 32, 2, options.tensorflow));
  register_module("stack3", std::make_shared<Stack>(32, 64, 2, options.tensorflow));
  register_module("fc", layers::linear(64, options.num_classes));
}

at::Tensor ResNet8::forward(const at::Tensor& input) {
  auto children = named_children();
  at::Tensor x = children["conv"]->as<layers::Conv>()->forward(input);
  x = at::relu(children["bn"]->as<layers::BatchNorm>()->forward(x));
  for (const char* stack : {"stack1", "stack2", "stack3"}) x = children[stack]->as<Stack>()->forward(x);
  x = at::flatten(at::avg_pool2d(x, {x.size(2), x.size(3)}), 1);
  return children["fc"]->as<layers::Linear>()->forward(x);
}

}  // namespace octet
