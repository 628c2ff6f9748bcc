#include "octet/targets/neutron/operator_rules.h"

#include <cmath>

#include "octet/support/error.h"

namespace octet::neutron {
namespace {

using enum SpecKind;

// ---- kinds of rows --------------------------------------------------------------------------------------------------

// The output has the input's parameters.
OperatorRule shared(std::vector<std::string_view> ops, std::string_view argument, std::string_view lowering) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{argument, kShared}};
  rule.output = kShared;
  rule.sharing = Sharing::kFirstInput;
  rule.lowering = lowering;
  return rule;
}

// All inputs and the output have one input's parameters.
OperatorRule shared_by_all(std::string_view op, std::vector<InputRule> inputs, Sharing sharing,
                           std::string_view lowering) {
  OperatorRule rule;
  rule.ops = {op};
  rule.inputs = std::move(inputs);
  rule.output = kShared;
  rule.sharing = sharing;
  rule.lowering = lowering;
  return rule;
}

// Input and output have ranges of their own.
OperatorRule basic(std::vector<std::string_view> ops, std::string_view lowering, SpecKind output = kActivation) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{"self", kActivation}};
  rule.output = output;
  rule.lowering = lowering;
  return rule;
}

// Computed together with the operator before it.
OperatorRule activation(std::vector<std::string_view> ops, std::string_view lowering, SpecKind output = kActivation) {
  OperatorRule rule = basic(std::move(ops), lowering, output);
  rule.is_activation = true;
  return rule;
}

// Clips: an activation at the target's bounds, a plain clip with shared parameters at others.
OperatorRule clip(std::vector<std::string_view> ops, bool is_activation) {
  OperatorRule rule = shared(std::move(ops), "self", "RELU_N1_TO_1, RELU_0_TO_1, RELU6, RELU or MINIMUM, MAXIMUM");
  rule.own_output_in_activation_bounds = true;
  rule.is_activation = is_activation;
  rule.activation_needs_bounds = is_activation;
  return rule;
}

OperatorRule two_inputs(std::vector<std::string_view> ops, SpecKind inputs, std::string_view lowering) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{"self", inputs}, {"other", inputs}};
  rule.lowering = lowering;
  return rule;
}

// Multiplies by a weight: takes an activation with it.
OperatorRule compute(std::string_view op, std::vector<InputRule> inputs, Fusion fusion, bool before_batch_norm,
                     std::string_view lowering) {
  OperatorRule rule;
  rule.ops = {op};
  rule.inputs = std::move(inputs);
  rule.fusion = fusion;
  rule.drops_output_before_batch_norm = before_batch_norm;
  rule.lowering = lowering;
  return rule;
}

OperatorRule batch_norm() {
  OperatorRule rule;
  rule.ops = {"aten.batch_norm.default"};
  rule.qat_only = true;
  return rule;
}

// ---- the table ------------------------------------------------------------------------------------------------------

std::vector<OperatorRule> make_rules() {
  const std::vector<InputRule> conv = {{"input", kActivation}, {"weight", kConvWeight}, {"bias", kConvBias}};
  const std::vector<InputRule> transposed = {
      {"input", kActivation}, {"weight", kTransposedWeight}, {"bias", kConvBias}};
  const std::vector<InputRule> linear = {{"input", kActivation}, {"weight", kWeight}, {"bias", kLinearBias}};
  const std::vector<InputRule> addmm = {{"mat1", kActivation}, {"mat2", kWeight}, {"self", kLinearBias}};
  const std::vector<InputRule> mm = {{"self", kActivation}, {"mat2", kWeight}};
  const std::vector<InputRule> pair = {{"self", kShared}, {"other", kShared}};
  const auto through_bn = Fusion::kActivationThroughBatchNorm;
  return {
      // Products with weights.
      compute("aten.conv2d.default", conv, through_bn, true, "CONV_2D or DEPTHWISE_CONV_2D"),
      compute("aten.conv2d.padding", conv, through_bn, true, "CONV_2D or DEPTHWISE_CONV_2D"),
      compute("aten.conv_transpose2d.input", transposed, Fusion::kActivation, true, "TRANSPOSE_CONV"),
      compute("aten.linear.default", linear, Fusion::kActivationIfMatrix, true, "FULLY_CONNECTED"),
      compute("aten.addmm.default", addmm, Fusion::kActivation, false, "FULLY_CONNECTED"),
      compute("aten.mm.default", mm, Fusion::kActivation, false, "FULLY_CONNECTED"),
      compute("aten.bmm.default", {{"self", kProduct}, {"mat2", kProduct}}, Fusion::kNone, false, "BATCH_MATMUL"),
      compute("aten.prelu.default", {{"self", kActivation}, {"weight", kWeight}}, Fusion::kNone, false, "PRELU"),
      batch_norm(),

      // Activations.
      activation({"aten.relu.default", "aten.relu_.default"}, "RELU"),
      activation({"aten.relu6.default", "aten.relu6_.default"}, "RELU6"),
      activation({"aten.sigmoid.default", "aten.sigmoid_.default"}, "LOGISTIC", kUnit),
      activation({"aten.tanh.default", "aten.tanh_.default"}, "TANH", kSignedUnit),
      clip({"aten.hardtanh.default", "aten.hardtanh_.default"}, true),
      clip({"aten.clamp.default", "aten.clamp_.default"}, false),
      basic({"aten.hardswish.default", "aten.hardswish_.default"}, "HARD_SWISH"),
      basic({"aten.leaky_relu.default", "aten.leaky_relu_.default"}, "LEAKY_RELU"),
      basic({"aten.softmax.int"}, "SOFTMAX", kUnit),

      // Arithmetic.
      two_inputs({"aten.add.Tensor", "aten.add_.Tensor"}, kActivation, "ADD"),
      two_inputs({"aten.sub.Tensor", "aten.sub_.Tensor"}, kActivation, "SUB"),
      two_inputs({"aten.mul.Tensor", "aten.mul_.Tensor"}, kHalf, "MUL"),
      basic({"aten.log.default"}, "LOG"),
      basic({"aten.rsqrt.default"}, "RSQRT"),
      shared({"aten.abs.default"}, "self", "ABS"),
      shared({"aten.exp.default"}, "self", "EXP"),
      shared({"aten.neg.default"}, "self", "SUB"),
      shared_by_all("aten.maximum.default", pair, Sharing::kAnyInput, "MAXIMUM"),
      shared_by_all("aten.minimum.default", pair, Sharing::kAnyInput, "MINIMUM"),

      // Reductions and pools.
      shared({"aten.amax.default"}, "self", "REDUCE_MAX"),
      shared({"aten.amin.default"}, "self", "REDUCE_MIN"),
      shared({"aten.mean.dim"}, "self", "MEAN"),
      shared({"aten.sum.default"}, "self", "SUM"),
      shared({"aten.sum.dim_IntList"}, "self", "SUM"),
      shared({"aten.adaptive_avg_pool2d.default"}, "self", "AVERAGE_POOL_2D"),
      shared({"aten.avg_pool1d.default"}, "self", "AVERAGE_POOL_2D"),
      shared({"aten.avg_pool2d.default"}, "self", "AVERAGE_POOL_2D"),
      shared({"aten.max_pool1d.default"}, "self", "MAX_POOL_2D"),
      shared({"aten.max_pool2d.default"}, "self", "MAX_POOL_2D"),

      // Moving values.
      shared_by_all("aten.cat.default", {{"tensors", kShared}}, Sharing::kAnyInputOrOwn, "CONCATENATION"),
      shared({"aten.dropout.default"}, "input", ""),
      shared({"aten.dropout_.default"}, "self", ""),
      shared({"aten.flatten.using_ints"}, "self", "RESHAPE"),
      shared({"aten.reshape.default"}, "self", "RESHAPE"),
      shared({"aten.view.default"}, "self", "RESHAPE"),
      shared({"aten.squeeze.default"}, "self", "RESHAPE"),
      shared({"aten.squeeze.dim"}, "self", "RESHAPE"),
      shared({"aten.squeeze.dims"}, "self", "RESHAPE"),
      shared({"aten.unsqueeze.default"}, "self", "RESHAPE"),
      shared({"aten.permute.default"}, "self", "TRANSPOSE"),
      shared({"aten.transpose.int"}, "self", "TRANSPOSE"),
      shared({"aten.slice.Tensor"}, "self", "SLICE"),
      shared({"aten.pad.default"}, "self", "PAD, PADV2 or MIRROR_PAD"),
      shared({"aten.upsample_bilinear2d.vec"}, "input", "RESIZE_BILINEAR"),
      shared({"aten.upsample_nearest2d.vec"}, "input", "RESIZE_NEAREST_NEIGHBOR"),
  };
}

std::optional<double> finite(const Arg& arg) {
  if (arg.is_none()) return std::nullopt;
  const double value = arg.to_double();
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

const std::vector<OperatorRule>& operator_rules() {
  static const std::vector<OperatorRule> rules = make_rules();
  return rules;
}

const OperatorRule* find_rule(const Node& node, const std::vector<OperatorRule>& rules) {
  if (!node.is_call()) return nullptr;
  for (const OperatorRule& rule : rules) {
    if (std::find(rule.ops.begin(), rule.ops.end(), node.target()) != rule.ops.end()) return &rule;
  }
  return nullptr;
}

std::optional<ActivationBounds> clipping_bounds(const Node& node) {
  if (!node.is_call()) return std::nullopt;
  const std::string_view name = node.op().short_name();
  if (name == "relu" || name == "relu_") return ActivationBounds{0.0, std::nullopt};
  if (name == "relu6" || name == "relu6_") return ActivationBounds{0.0, 6.0};
  const bool hardtanh = name == "hardtanh" || name == "hardtanh_";
  const bool clamp = name == "clamp" || name == "clamp_";
  if (!hardtanh && !clamp) return std::nullopt;
  const Arg& low = node.arg(hardtanh ? "min_val" : "min");
  const Arg& high = node.arg(hardtanh ? "max_val" : "max");
  if (!low.is_constant() || !high.is_constant()) return std::nullopt;
  return ActivationBounds{finite(low), finite(high)};
}

bool is_fusable_activation(const Node& node, const NeutronLimits& limits) {
  const OperatorRule* rule = find_rule(node);
  if (rule == nullptr || !rule->is_activation) return false;
  if (!rule->activation_needs_bounds) return true;
  const auto bounds = clipping_bounds(node);
  const auto& fusable = limits.fusable_bounds;
  return bounds && std::find(fusable.begin(), fusable.end(), *bounds) != fusable.end();
}

bool is_fusable_compute(const Node& node) {
  if (node.is_call("aten.conv2d.default") || node.is_call("aten.addmm.default") || node.is_call("aten.mm.default")) {
    return true;
  }
  return node.is_call("aten.linear.default") && node.meta() && node.meta()->rank() == 2;
}

}  // namespace octet::neutron
