#include "octet/targets/neutron/operator_rules.h"

#include "octet/targets/neutron/constraints.h"

namespace octet::neutron {

using targets::Constraint;
using targets::Fusion;
using targets::InputRule;
using targets::NoOp;
using targets::OperatorRule;
using targets::Role;
using targets::Sharing;

namespace {

namespace must = constraints;
using enum Role;

// ---- kinds of rows --------------------------------------------------------------------------------------------------

// The output has the input's parameters.
OperatorRule shared(std::vector<std::string_view> ops, std::string_view argument) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{argument, kShared}};
  rule.output = kShared;
  rule.sharing = Sharing::kFirstInput;
  return rule;
}

// All inputs and the output have one input's parameters.
OperatorRule shared_by_all(std::string_view op, std::vector<InputRule> inputs, Sharing sharing) {
  OperatorRule rule;
  rule.ops = {op};
  rule.inputs = std::move(inputs);
  rule.output = kShared;
  rule.sharing = sharing;
  return rule;
}

// What it gives may lie where its input never does.
OperatorRule leaves_range(OperatorRule rule) {
  rule.leaves_range = true;
  return rule;
}

// Input and output have ranges of their own.
OperatorRule basic(std::vector<std::string_view> ops, Role output = kActivation) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{"self", kActivation}};
  rule.output = output;
  return rule;
}

// The same, but on its input's grid where the config asks for that.
OperatorRule may_share_input(OperatorRule rule) {
  rule.may_share_input = true;
  return rule;
}

// Computed together with the operator before it.
OperatorRule activation(std::vector<std::string_view> ops, Role output = kActivation) {
  OperatorRule rule = basic(std::move(ops), output);
  rule.is_activation = true;
  return rule;
}

// Clips: an activation at the target's bounds, a plain clip with shared parameters at others.
OperatorRule clip(std::vector<std::string_view> ops, const NeutronLimits& limits) {
  OperatorRule rule = shared(std::move(ops), "self");
  rule.own_output_at = limits.activation_bounds;
  return rule;
}

// The same, also computed together with the operator before it.
OperatorRule fusable_clip(std::vector<std::string_view> ops, const NeutronLimits& limits) {
  OperatorRule rule = clip(std::move(ops), limits);
  rule.is_activation = true;
  rule.fuses_at = limits.fusable_bounds;
  return rule;
}

OperatorRule two_inputs(std::vector<std::string_view> ops, Role inputs) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = {{"self", inputs}, {"other", inputs}};
  return rule;
}

// Multiplies by a weight: takes an activation with it.
OperatorRule compute(std::string_view op, std::vector<InputRule> inputs, Fusion fusion, bool before_batch_norm) {
  OperatorRule rule;
  rule.ops = {op};
  rule.inputs = std::move(inputs);
  rule.fusion = fusion;
  rule.drops_output_before_batch_norm = before_batch_norm;
  return rule;
}

OperatorRule batch_norm() {
  OperatorRule rule;
  rule.ops = {"aten.batch_norm.default"};
  rule.qat_only = true;
  rule.constraints = {must::is_folded()};
  return rule;
}

// The row with what the target asks of it.
OperatorRule with(OperatorRule rule, std::vector<Constraint> constraints, std::vector<Constraint> alone = {}) {
  rule.constraints = std::move(constraints);
  rule.alone = std::move(alone);
  return rule;
}

OperatorRule droppable(NoOp no_op, OperatorRule rule) {
  rule.no_op = no_op;
  return rule;
}

// A view: nothing moves, so that the compiler drops it.
OperatorRule reshape(std::string_view op, const NeutronLimits& limits) {
  return with(droppable(NoOp::kAlways, shared({op}, "self")), {must::reshape_rank(limits)});
}

OperatorRule permutation(std::string_view op) {
  return with(droppable(NoOp::kIfIdentity, shared({op}, "self")), {must::same_grid({"self"})}, {must::moves_data()});
}

OperatorRule reduction(std::string_view op, NoOp no_op, std::vector<Constraint> alone = {}) {
  return with(droppable(no_op, shared({op}, "self")), {must::same_grid({"self"})}, std::move(alone));
}

OperatorRule vanishing(std::string_view op, std::string_view argument) {
  return droppable(NoOp::kAlways, shared({op}, argument));
}

// Two tensors, element by element.
OperatorRule elementwise(OperatorRule rule, std::vector<Constraint> more = {}) {
  more.insert(more.begin(), must::broadcasts_one_input("self", "other"));
  return with(std::move(rule), std::move(more));
}

// ---- the table ------------------------------------------------------------------------------------------------------

}  // namespace

std::vector<OperatorRule> operator_rules(const NeutronTargetSpec& target) {
  const NeutronLimits& limits = target.limits();
  const std::vector<InputRule> conv = {{"input", kActivation}, {"weight", kConvWeight}, {"bias", kConvBias}};
  const std::vector<InputRule> transposed = {
      {"input", kActivation}, {"weight", kTransposedConvWeight, 1}, {"bias", kConvBias}};
  const std::vector<InputRule> linear = {{"input", kActivation}, {"weight", kLinearWeight}, {"bias", kLinearBias}};
  const std::vector<InputRule> addmm = {{"mat1", kActivation}, {"mat2", kLinearWeight, 1}, {"self", kLinearBias}};
  const std::vector<InputRule> mm = {{"self", kActivation}, {"mat2", kLinearWeight, 1}};
  const std::vector<InputRule> pair = {{"self", kShared}, {"other", kShared}};
  const auto through_bn = Fusion::kActivationThroughBatchNorm;
  const std::vector<Constraint> convolves = {must::rank("input", 4),          must::static_weight("weight"),
                                             must::static_bias("bias"),       must::groups_or_depthwise(limits),
                                             must::convolution_sizes(limits), must::convolution_weights(target)};
  const std::vector<Constraint> convolves_transposed = {must::rank("input", 4), must::static_weight("weight"),
                                                        must::static_bias("bias"),
                                                        must::transposed_convolution(target)};
  const std::vector<Constraint> max_pools = {must::max_pool(limits), must::same_grid({"self"})};
  const std::vector<Constraint> average_pools = {must::average_pool(), must::pool_sizes(limits),
                                                 must::same_grid({"self"})};
  return {
      // Products with weights.
      with(compute("aten.conv2d.default", conv, through_bn, true), convolves),
      with(compute("aten.conv2d.padding", conv, through_bn, true), convolves),
      with(compute("aten.conv_transpose2d.input", transposed, Fusion::kActivation, true), convolves_transposed),
      with(compute("aten.linear.default", linear, Fusion::kActivationIfMatrix, true),
           {must::rank("weight", 2), must::static_weight("weight"), must::static_bias("bias")}),
      with(compute("aten.addmm.default", addmm, Fusion::kActivation, false),
           {must::rank("mat2", 2), must::factors_are_one(), must::static_weight("mat2"), must::static_bias("self")}),
      with(compute("aten.mm.default", mm, Fusion::kActivation, false),
           {must::rank("mat2", 2), must::static_weight("mat2")}),
      with(compute("aten.bmm.default", {{"self", kProductOperand}, {"mat2", kProductOperand}}, Fusion::kNone, false),
           {must::rank("self", 3), must::rank("mat2", 3), must::zero_points_are_zero("self", "mat2")}),
      with(compute("aten.prelu.default", {{"self", kActivation}, {"weight", kSlopes}}, Fusion::kNone, false),
           {must::slopes()}),
      batch_norm(),

      // Activations.
      with(activation({"aten.relu.default", "aten.relu_.default"}), {}, {must::clips_something(limits)}),
      with(activation({"aten.relu6.default", "aten.relu6_.default"}), {}, {must::clips_something(limits)}),
      activation({"aten.sigmoid.default", "aten.sigmoid_.default"}, kUnit),
      activation({"aten.tanh.default", "aten.tanh_.default"}, kSignedUnit),
      with(fusable_clip({"aten.hardtanh.default", "aten.hardtanh_.default"}, limits), {must::clip_bounds(limits)},
           {must::clips_something(limits)}),
      with(clip({"aten.clamp.default", "aten.clamp_.default"}, limits), {must::clip_bounds(limits)},
           {must::clips_something(limits)}),
      basic({"aten.hardswish.default", "aten.hardswish_.default"}),
      basic({"aten.leaky_relu.default", "aten.leaky_relu_.default"}),
      with(basic({"aten.softmax.int"}, kUnit), {must::softmax(limits)}),

      // Arithmetic.
      droppable(NoOp::kIfIdentity,
                elementwise(two_inputs({"aten.add.Tensor", "aten.add_.Tensor"}, kActivation), {must::alpha_is_one()})),
      droppable(NoOp::kIfIdentity,
                elementwise(two_inputs({"aten.sub.Tensor", "aten.sub_.Tensor"}, kActivation), {must::alpha_is_one()})),
      droppable(NoOp::kIfIdentity, elementwise(two_inputs({"aten.mul.Tensor", "aten.mul_.Tensor"}, kHalf))),
      basic({"aten.log.default"}),
      basic({"aten.rsqrt.default"}),
      may_share_input(basic({"aten.exp.default"})),
      shared({"aten.abs.default"}, "self"),
      leaves_range(shared({"aten.neg.default"}, "self")),
      elementwise(shared_by_all("aten.maximum.default", pair, Sharing::kAnyInput),
                  {must::same_grid({"self", "other"})}),
      elementwise(shared_by_all("aten.minimum.default", pair, Sharing::kAnyInput),
                  {must::same_grid({"self", "other"})}),

      // Reductions and pools.
      reduction("aten.amax.default", NoOp::kIfIdentity),
      reduction("aten.amin.default", NoOp::kIfIdentity),
      reduction("aten.mean.dim", NoOp::kNever, {must::reduces_something()}),
      leaves_range(reduction("aten.sum.default", NoOp::kIfIdentity)),
      leaves_range(reduction("aten.sum.dim_IntList", NoOp::kIfIdentity)),
      with(shared({"aten.adaptive_avg_pool1d.default"}, "self"),
           {must::divides_evenly(), must::pool_sizes(limits), must::same_grid({"self"})}),
      with(shared({"aten.adaptive_avg_pool2d.default"}, "self"),
           {must::divides_evenly(), must::pool_sizes(limits), must::same_grid({"self"})}),
      with(shared({"aten.avg_pool1d.default"}, "self"), average_pools),
      with(shared({"aten.avg_pool2d.default"}, "self"), average_pools),
      with(shared({"aten.max_pool1d.default"}, "self"), max_pools),
      with(shared({"aten.max_pool2d.default"}, "self"), max_pools),

      // Moving values.
      with(droppable(NoOp::kIfOneInput,
                     shared_by_all("aten.cat.default", {{"tensors", kShared}}, Sharing::kAnyInputOrOwn)),
           {must::same_grid({"tensors"})}),
      vanishing("aten.dropout.default", "input"),
      vanishing("aten.dropout_.default", "self"),
      vanishing("aten.feature_dropout.default", "input"),
      vanishing("aten.feature_dropout_.default", "self"),
      vanishing("aten.alpha_dropout.default", "input"),
      vanishing("aten.alpha_dropout_.default", "self"),
      vanishing("aten.feature_alpha_dropout.default", "input"),
      vanishing("aten.feature_alpha_dropout_.default", "self"),
      reshape("aten.flatten.using_ints", limits),
      reshape("aten.reshape.default", limits),
      reshape("aten.view.default", limits),
      reshape("aten.squeeze.default", limits),
      reshape("aten.squeeze.dim", limits),
      reshape("aten.squeeze.dims", limits),
      reshape("aten.unsqueeze.default", limits),
      permutation("aten.permute.default"),
      permutation("aten.transpose.int"),
      with(shared({"aten.slice.Tensor"}, "self"), {must::slice()}),
      with(shared({"aten.pad.default"}, "self"), {must::padding(), must::same_grid({"self"})}),
      with(shared({"aten.upsample_bilinear2d.vec"}, "input"), {must::resize(limits, /*aligned_corners=*/true)},
           {must::resizes_something()}),
      with(shared({"aten.upsample_nearest2d.vec"}, "input"), {must::resize(limits, /*aligned_corners=*/false)},
           {must::resizes_something()}),
  };
}

}  // namespace octet::neutron
