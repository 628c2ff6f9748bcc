#pragma once

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/quantizer.h"

namespace octet::test {

/// A convolution or linear of a test: what is called, on what, with how many channels out.
struct LayerKind {
  const char* op;
  std::vector<int64_t> input;
  std::vector<int64_t> weight;
  int64_t out;
  NamedArgs named;
  bool bias = true;
};

inline Arg ints(std::vector<int64_t> values) { return Arg(std::move(values)); }

/// Builds small programs by hand, as an importer would leave them.
class Net {
 public:
  explicit Net(std::vector<int64_t> input_sizes) : input_sizes_(std::move(input_sizes)) {
    last = input("x", input_sizes_);
  }

  Node* input(const std::string& name, std::vector<int64_t> sizes) {
    Node* node = module->graph().placeholder(name);
    node->set_meta(TensorMeta{at::kFloat, std::move(sizes)});
    return node;
  }
  Node* parameter(const std::string& name, const at::Tensor& value) {
    module->set_attr(name, value.clone().set_requires_grad(true), AttrKind::kParameter);
    return module->graph().get_attr(name);
  }
  Node* buffer(const std::string& name, const at::Tensor& value) {
    module->set_attr(name, value, AttrKind::kBuffer);
    return module->graph().get_attr(name);
  }

  /// A convolution or linear on `last`. `op`: "aten.conv2d.default"; `weight` sizes; further arguments by name.
  Node* conv(const std::string& op, const std::string& name, std::vector<int64_t> weight, int64_t out_channels,
             bool bias, NamedArgs named = {}) {
    Node* w = parameter(name + ".weight", at::randn(weight) * 0.3);
    std::vector<Arg> args = {Arg(last), Arg(w), Arg()};
    if (bias) args[2] = Arg(parameter(name + ".bias", at::randn({out_channels}) * 0.5));
    return last = module->graph().call(op, std::move(args), std::move(named));
  }
  Node* conv2d(const std::string& name, int64_t in, int64_t out, bool bias, int64_t groups = 1) {
    return conv("aten.conv2d.default", name, {out, in / groups, 3, 3}, out, bias,
                {{"padding", Arg(std::vector<int64_t>{1, 1})}, {"groups", Arg(groups)}});
  }
  Node* batch_norm(const std::string& name, int64_t channels, double eps = 1e-5, double momentum = 0.1) {
    Node* gamma = parameter(name + ".weight", at::rand({channels}) + 0.5);
    Node* beta = parameter(name + ".bias", at::randn({channels}) * 0.3);
    Node* mean = buffer(name + ".running_mean", at::randn({channels}) * 0.2);
    Node* var = buffer(name + ".running_var", at::rand({channels}) + 0.3);
    return last = module->graph().call(
               "aten.batch_norm.default",
               {Arg(last), Arg(gamma), Arg(beta), Arg(mean), Arg(var), Arg(false), Arg(momentum), Arg(eps), Arg(true)});
  }
  Node* call(const std::string& op, std::vector<Arg> args) { return last = module->graph().call(op, std::move(args)); }
  Node* relu() { return call("aten.relu.default", {Arg(last)}); }

  /// Ends the program with `last` and fills in shapes.
  std::shared_ptr<GraphModule> finish() {
    module->graph().output({Arg(last)});
    propagate_shapes(*module);
    return module;
  }

  std::shared_ptr<GraphModule> module = std::make_shared<GraphModule>();
  Node* last = nullptr;

 private:
  std::vector<int64_t> input_sizes_;
};

inline constexpr double kActivationEps = 0.000244140625;  // 2^-12

inline QuantizationSpec activation_spec(bool qat) {
  QuantizationSpec spec;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.observer_or_fake_quant =
      qat ? fused_moving_avg_fake_quantize(0.01, kActivationEps) : min_max_observer(kActivationEps);
  return spec;
}

inline QuantizationSpec weight_spec(bool qat, bool per_channel, int64_t axis) {
  QuantizationSpec spec;
  spec.quant_min = -127;
  spec.quant_max = 127;
  spec.qscheme = per_channel ? at::kPerChannelSymmetric : at::kPerTensorSymmetric;
  if (per_channel) spec.ch_axis = axis;
  const ObserverFactory still = per_channel ? per_channel_min_max_observer() : min_max_observer();
  const ObserverFactory moving =
      per_channel ? moving_average_per_channel_min_max_observer() : moving_average_min_max_observer();
  spec.observer_or_fake_quant = qat ? fake_quantize(moving) : still;
  return spec;
}

inline DerivedQuantizationSpec bias_spec(Node* conv, bool per_channel) {
  DerivedQuantizationSpec spec;
  spec.derived_from = {EdgeOrNode(conv->arg(0).node(), conv), EdgeOrNode(conv->arg(1).node(), conv)};
  const Derivation derivation = bias_derivation();
  spec.derive_name = derivation.name;
  spec.derive_qparams = derivation.derive;
  spec.quant_max = std::numeric_limits<int32_t>::max();
  spec.quant_min = per_channel ? -*spec.quant_max : std::numeric_limits<int32_t>::min();
  spec.qscheme = per_channel ? at::kPerChannelSymmetric : at::kPerTensorAffine;
  if (per_channel) spec.ch_axis = 0;
  const ConvInfo info = *conv_info(*conv);
  if (per_channel && info.is_transposed && info.groups > 1) {
    // The weight has the scales of one group; all groups use them.
    spec.derive_name += " tiled";
    spec.derive_qparams = [derive = derivation.derive, groups = info.groups](const std::vector<QParams>& sources) {
      const QParams one = derive(sources);
      return QParams{one.scale.repeat({groups}), one.zero_point.repeat({groups})};
    };
  }
  return spec;
}

/// int8 activations per tensor, symmetric weights, derived int32 biases; everything else shares its input's observer.
class SimpleQuantizer : public Quantizer {
 public:
  explicit SimpleQuantizer(bool qat, bool per_channel = true) : qat_(qat), per_channel_(per_channel) {}

  void annotate(GraphModule& module) override {
    for (Node* node : module.graph().nodes()) {
      if (node->kind() == NodeKind::kPlaceholder) ensure_annotation(*node).output_qspec = activation_spec(qat_);
      if (node->is_call()) annotate(*node);
    }
  }

 private:
  static bool is_relu(const Node& node) { return node.is_call("aten.relu.default"); }
  static bool is_batch_norm(const Node& node) { return node.is_call("aten.batch_norm.default"); }
  // A node whose only reader computes the activation together with it.
  static bool leads_to_relu(const Node& node) { return node.user_count() == 1 && is_relu(*node.users().front()); }

  void annotate(Node& node) {
    const AnySpec activation = activation_spec(qat_);
    QuantizationAnnotation& note = ensure_annotation(node);
    note.annotated = true;
    if (const auto info = conv_info(node)) {
      const bool per_channel = per_channel_ && !info->is_linear;
      note.set_input(node.arg(0).node(), activation);
      note.set_input(node.arg(1).node(), weight_spec(qat_, per_channel, info->weight_axis()));
      if (node.arg(2).is_node()) note.set_input(node.arg(2).node(), bias_spec(&node, per_channel));
      const bool before_norm = node.user_count() == 1 && is_batch_norm(*node.users().front());
      if (!before_norm && !leads_to_relu(node)) note.output_qspec = activation;
    } else if (is_batch_norm(node)) {
      if (!leads_to_relu(node)) note.output_qspec = activation;
    } else if (is_relu(node)) {
      note.output_qspec = activation;
    } else if (node.is_call("aten.add.Tensor")) {
      for (Node* input : node.inputs()) note.set_input(input, activation);
      note.output_qspec = activation;
    } else if (!node.op().mutates() && !node.inputs().empty()) {
      Node* input = node.inputs().front();
      note.set_input(input, activation);
      note.output_qspec = SharedQuantizationSpec{EdgeOrNode(input, &node)};
    }
  }

  bool qat_;
  bool per_channel_;
};

/// Quantizes as it is told.
class LambdaQuantizer : public Quantizer {
 public:
  explicit LambdaQuantizer(std::function<void(GraphModule&)> annotate) : annotate_(std::move(annotate)) {}
  void annotate(GraphModule& module) override { annotate_(module); }

 private:
  std::function<void(GraphModule&)> annotate_;
};

/// Calls of this op.
inline std::vector<Node*> calls(GraphModule& module, std::string_view op) {
  std::vector<Node*> found;
  for (Node* node : module.graph().nodes()) {
    if (node->is_call(op)) found.push_back(node);
  }
  return found;
}

}  // namespace octet::test
