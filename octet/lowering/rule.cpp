#include "octet/lowering/rule.h"

#include <unordered_map>

#include "octet/lowering/clip.h"
#include "octet/lowering/operators/operators.h"

namespace octet::lowering {

using tflite::OpCode;
using enum Arithmetic;

namespace {

using Lower = void (*)(OperatorLowering&);
using Ops = std::vector<std::string_view>;

LoweringRule row(Ops ops, Arithmetic arithmetic, Layout layout, std::string_view builtins, Lower lower) {
  LoweringRule rule;
  rule.ops = std::move(ops);
  rule.arithmetic = arithmetic;
  rule.layout = layout;
  rule.builtins = builtins;
  rule.lower = lower;
  return rule;
}

LoweringRule elementwise(Ops ops, std::string_view builtins, Lower lower) {
  return row(std::move(ops), kInteger, Layout::kAny, builtins, lower);
}

// Elementwise, and may stand in front of a quantize together with the operator before it.
LoweringRule activation(Ops ops, std::string_view builtins, Lower lower, Arithmetic arithmetic = kInteger) {
  LoweringRule rule = row(std::move(ops), arithmetic, Layout::kAny, builtins, lower);
  rule.auxiliary = true;
  return rule;
}

// An activation on a fixed grid: beyond `reach` its result does not change by an int8 step.
LoweringRule saturating(Ops ops, std::string_view builtins, Lower lower, double reach) {
  LoweringRule rule = activation(std::move(ops), builtins, lower);
  rule.reach = reach;
  return rule;
}

LoweringRule in_float(Ops ops, std::string_view builtins, Lower lower, Layout layout = Layout::kAny) {
  return row(std::move(ops), kFloat, layout, builtins, lower);
}

LoweringRule on_image(Ops ops, Arithmetic arithmetic, std::string_view builtins, Lower lower) {
  return row(std::move(ops), arithmetic, Layout::kChannelsFirst, builtins, lower);
}

LoweringRule view(Ops ops, std::string_view builtins, Lower lower) {
  LoweringRule rule = row(std::move(ops), kMoves, Layout::kReshapes, builtins, lower);
  rule.auxiliary = true;
  return rule;
}

LoweringRule nothing(Ops ops) {
  LoweringRule rule = row(std::move(ops), kMoves, Layout::kAny, "", lower_alias);
  rule.auxiliary = true;
  return rule;
}

std::vector<LoweringRule> make_rules() {
  return {
      // Products.
      on_image({"aten.conv2d.default", "aten.conv2d.padding"}, kInteger, "CONV_2D or DEPTHWISE_CONV_2D",
               lower_convolution),
      on_image({"aten.conv_transpose2d.input"}, kInteger, "TRANSPOSE_CONV", lower_transposed_convolution),
      row({"aten.linear.default"}, kInteger, Layout::kReshapes, "FULLY_CONNECTED", lower_linear),
      row({"aten.addmm.default"}, kInteger, Layout::kReshapes, "FULLY_CONNECTED", lower_addmm),
      row({"aten.mm.default"}, kInteger, Layout::kReshapes, "FULLY_CONNECTED", lower_matmul),
      row({"aten.bmm.default", "aten.matmul.default"}, kInteger, Layout::kReshapes, "BATCH_MATMUL", lower_matmul),
      row({"aten.prelu.default"}, kInteger, Layout::kChannelsFirstSlopes, "PRELU", lower_prelu),
      in_float({"aten.batch_norm.default"}, "MUL, ADD", lower_batch_norm),
      in_float({"aten.layer_norm.default"}, "MEAN, SQUARED_DIFFERENCE, RSQRT, SUB, MUL, ADD", lower_layer_norm,
               Layout::kReshapes),

      // Activations.
      activation({"aten.relu.default", "aten.relu_.default"}, "RELU", lower_clip),
      activation({"aten.relu6.default", "aten.relu6_.default"}, "RELU6", lower_clip),
      saturating({"aten.sigmoid.default", "aten.sigmoid_.default"}, "LOGISTIC", lower_unary<OpCode::kLogistic>, 8.0),
      saturating({"aten.tanh.default", "aten.tanh_.default"}, "TANH", lower_unary<OpCode::kTanh>, 4.0),
      activation({"aten.hardtanh.default", "aten.hardtanh_.default"},
                 "RELU_N1_TO_1, RELU_0_TO_1, RELU6, RELU or MINIMUM, MAXIMUM", lower_clip, kClip),
      row({"aten.clamp.default", "aten.clamp_.default"}, kClip, Layout::kAny,
          "RELU_N1_TO_1, RELU_0_TO_1, RELU6, RELU or MINIMUM, MAXIMUM", lower_clip),
      elementwise({"aten.hardswish.default", "aten.hardswish_.default"}, "HARD_SWISH", lower_unary<OpCode::kHardSwish>),
      elementwise({"aten.leaky_relu.default", "aten.leaky_relu_.default"}, "LEAKY_RELU", lower_leaky_relu),
      elementwise({"aten.softmax.int"}, "SOFTMAX", lower_softmax),
      in_float({"aten.log_softmax.int"}, "LOG_SOFTMAX", lower_log_softmax),
      in_float({"aten.gelu.default", "aten.gelu_.default"}, "GELU", lower_gelu),
      in_float({"aten.silu.default", "aten.silu_.default"}, "LOGISTIC, MUL", lower_silu),
      in_float({"aten.hardsigmoid.default", "aten.hardsigmoid_.default"}, "ADD, RELU6, MUL", lower_hardsigmoid),

      // Arithmetic.
      elementwise({"aten.add.Tensor", "aten.add_.Tensor"}, "ADD", lower_add),
      elementwise({"aten.sub.Tensor", "aten.sub_.Tensor"}, "SUB", lower_sub),
      elementwise({"aten.mul.Tensor", "aten.mul_.Tensor"}, "MUL", lower_binary<OpCode::kMul>),
      in_float({"aten.div.Tensor", "aten.div_.Tensor"}, "DIV", lower_binary<OpCode::kDiv>),
      in_float({"aten.pow.Tensor_Scalar"}, "POW", lower_pow),
      in_float({"aten.sqrt.default"}, "SQRT", lower_unary<OpCode::kSqrt>),
      elementwise({"aten.log.default"}, "LOG", lower_unary<OpCode::kLog>),
      elementwise({"aten.rsqrt.default"}, "RSQRT", lower_unary<OpCode::kRsqrt>),
      elementwise({"aten.abs.default"}, "ABS", lower_unary<OpCode::kAbs>),
      elementwise({"aten.exp.default"}, "EXP", lower_unary<OpCode::kExp>),
      elementwise({"aten.neg.default"}, "SUB", lower_neg),
      row({"aten.maximum.default"}, kOneGrid, Layout::kAny, "MAXIMUM", lower_binary<OpCode::kMaximum>),
      row({"aten.minimum.default"}, kOneGrid, Layout::kAny, "MINIMUM", lower_binary<OpCode::kMinimum>),

      // Reductions, pools, resizes.
      row({"aten.amax.default"}, kMoves, Layout::kReduces, "REDUCE_MAX", lower_reduction<OpCode::kReduceMax>),
      row({"aten.amin.default"}, kMoves, Layout::kReduces, "REDUCE_MIN", lower_reduction<OpCode::kReduceMin>),
      row({"aten.mean.dim", "aten.mean.default"}, kInteger, Layout::kReduces, "MEAN", lower_reduction<OpCode::kMean>),
      row({"aten.sum.default", "aten.sum.dim_IntList"}, kInteger, Layout::kReduces, "SUM",
          lower_reduction<OpCode::kSum>),
      on_image({"aten.adaptive_avg_pool2d.default"}, kMoves, "AVERAGE_POOL_2D", lower_adaptive_average_pool),
      row({"aten.avg_pool1d.default"}, kMoves, Layout::kReshapes, "AVERAGE_POOL_2D", lower_average_pool),
      on_image({"aten.avg_pool2d.default"}, kMoves, "AVERAGE_POOL_2D", lower_average_pool),
      row({"aten.max_pool1d.default"}, kMoves, Layout::kReshapes, "MAX_POOL_2D", lower_max_pool),
      on_image({"aten.max_pool2d.default"}, kMoves, "MAX_POOL_2D", lower_max_pool),
      on_image({"aten.upsample_bilinear2d.vec"}, kMoves, "RESIZE_BILINEAR", lower_resize_bilinear),
      on_image({"aten.upsample_nearest2d.vec"}, kMoves, "RESIZE_NEAREST_NEIGHBOR", lower_resize_nearest),

      // Moving values.
      row({"aten.cat.default"}, kOneGrid, Layout::kAny, "CONCATENATION", lower_concatenation),
      nothing({"aten.dropout.default", "aten.dropout_.default", "aten.clone.default", "aten.contiguous.default",
               "aten.detach.default"}),
      view({"aten.flatten.using_ints", "aten.reshape.default", "aten.view.default", "aten.squeeze.default",
            "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default"},
           "RESHAPE", lower_reshape),
      view({"aten.permute.default", "aten.transpose.int", "aten.t.default"}, "TRANSPOSE", lower_permutation),
      row({"aten.slice.Tensor"}, kMoves, Layout::kAny, "SLICE", lower_slice),
      row({"aten.select.int"}, kMoves, Layout::kReshapes, "SLICE, RESHAPE", lower_select),
      row({"aten.split.Tensor", "aten.split.default", "aten.split_with_sizes.default", "aten.chunk.default"}, kMoves,
          Layout::kReshapes, "SLICE", lower_split),
      row({"aten.pad.default"}, kMoves, Layout::kAny, "PAD, PADV2 or MIRROR_PAD", lower_pad),
      row({"aten.expand.default"}, kMoves, Layout::kReshapes, "BROADCAST_TO", lower_expand),
      on_image({"aten.pixel_shuffle.default"}, kMoves, "RESHAPE, TRANSPOSE", lower_pixel_shuffle),
      on_image({"aten.pixel_unshuffle.default"}, kMoves, "RESHAPE, TRANSPOSE", lower_pixel_unshuffle),
  };
}

}  // namespace

const std::vector<LoweringRule>& lowering_rules() {
  static const std::vector<LoweringRule> rules = make_rules();
  return rules;
}

const LoweringRule* find_lowering_rule(const Node& node) {
  return node.is_call() ? find_lowering_rule(std::string_view(node.target())) : nullptr;
}

const LoweringRule* find_lowering_rule(std::string_view op) {
  static const std::unordered_map<std::string_view, const LoweringRule*> by_op = [] {
    std::unordered_map<std::string_view, const LoweringRule*> map;
    for (const LoweringRule& rule : lowering_rules()) {
      for (const std::string_view name : rule.ops) map.emplace(name, &rule);
    }
    return map;
  }();
  const auto found = by_op.find(op);
  return found != by_op.end() ? found->second : nullptr;
}

bool moves_values(const Node& node) {
  const LoweringRule* rule = find_lowering_rule(node);
  if (rule == nullptr) return false;
  if (rule->arithmetic != kClip) return rule->arithmetic == kMoves;
  const std::optional<ActivationBounds> bounds = clipping_bounds(node);
  return bounds && !activation_of(*bounds);
}

bool is_auxiliary(const Node& node) {
  if (node.kind() == NodeKind::kGetItem) return true;
  const LoweringRule* rule = find_lowering_rule(node);
  return rule != nullptr && rule->auxiliary;
}

}  // namespace octet::lowering
