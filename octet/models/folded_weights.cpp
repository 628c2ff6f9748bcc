#include "octet/models/folded_weights.h"

#include <ATen/core/grad_mode.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <utility>

#include "octet/graph/constant_value.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// What a module's tensors become, in the order in which they are written once all is found.
using Writes = std::vector<std::pair<at::Tensor, at::Tensor>>;

class FoldedLoader {
 public:
  FoldedLoader(const std::vector<FoldedLayer>& layers, std::string where)
      : layers_(layers), taken_(layers.size(), false), where_(std::move(where)) {}

  void product(const std::string& name, at::Tensor weight, at::Tensor bias) {
    require_none_waits(name);
    const FoldedLayer& layer = next(name, weight.sizes());
    writes_.emplace_back(weight, layer.weight);
    const at::Tensor own = layer.bias.defined() ? layer.bias : at::zeros({weight.size(0)});
    if (own.numel() != weight.size(0)) {
      throw expected(where_, octet::str("bias of '", layer.name, "'"), std::to_string(weight.size(0)),
                     std::to_string(own.numel()));
    }
    if (bias.defined()) {
      writes_.emplace_back(bias, own);
    } else if (own.any().item<bool>()) {
      waiting_ = own;  // for the BatchNorm behind
    }
  }

  template <typename Norm>
  void norm(const Norm& norm) {
    const bool takes = waiting_.defined() && waiting_.sizes() == norm.bias.sizes();
    const at::Tensor bias = takes ? std::exchange(waiting_, {}) : at::zeros_like(norm.bias);
    writes_.emplace_back(norm.weight, at::full_like(norm.weight, std::sqrt(1 + norm.options.eps())));
    writes_.emplace_back(norm.bias, bias);
    writes_.emplace_back(norm.running_mean, at::zeros_like(norm.running_mean));
    writes_.emplace_back(norm.running_var, at::ones_like(norm.running_var));
  }

  void write() {
    require_none_waits("the end");
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (!taken_[i]) throw Error(where_, octet::str("'", layers_[i].name, "' has no counterpart in the model"));
    }
    const at::NoGradGuard no_grad;
    for (auto& [to, from] : writes_) to.copy_(from);
  }

 private:
  const FoldedLayer& next(const std::string& name, at::IntArrayRef sizes) {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (taken_[i] || layers_[i].weight.sizes() != sizes) continue;
      taken_[i] = true;
      return layers_[i];
    }
    throw Error(where_, octet::str("no weight of [", join(", ", sizes), "] is left for '", name, "'"));
  }
  void require_none_waits(const std::string& name) const {
    if (!waiting_.defined()) return;
    throw Error(where_, octet::str("a bias in front of '", name, "' has no place in the model"));
  }

  const std::vector<FoldedLayer>& layers_;
  std::vector<bool> taken_;
  std::string where_;
  at::Tensor waiting_;
  Writes writes_;
};

}  // namespace

std::vector<FoldedLayer> folded_layers(const GraphModule& program) {
  std::vector<FoldedLayer> layers;
  for (const Node* node : program.graph().nodes()) {
    if (!node->is_call("aten.conv2d.default") && !node->is_call("aten.linear.default")) continue;
    const auto value = [&](const char* name) {
      const Arg& arg = node->arg(name);
      return arg.is_node() ? constant_value(program, *arg.node()) : at::Tensor();
    };
    layers.push_back({node->name(), value("weight"), value("bias")});
    if (!layers.back().weight.defined()) throw Error(node->where(), "its weight is no constant");
  }
  return layers;
}

void load_folded(torch::nn::Module& model, const std::vector<FoldedLayer>& layers, const std::string& where) {
  FoldedLoader loader(layers, where);
  for (const auto& item : model.named_modules()) {
    const auto& module = item.value();
    if (const auto* conv = module->as<torch::nn::Conv2dImpl>()) {
      loader.product(item.key(), conv->weight, conv->bias);
    } else if (const auto* linear = module->as<torch::nn::LinearImpl>()) {
      loader.product(item.key(), linear->weight, linear->bias);
    } else if (const auto* norm = module->as<torch::nn::BatchNorm2dImpl>()) {
      loader.norm(*norm);
    } else if (const auto* flat = module->as<torch::nn::BatchNorm1dImpl>()) {
      loader.norm(*flat);
    }
  }
  loader.write();
}

}  // namespace octet
