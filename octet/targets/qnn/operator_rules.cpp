#include "octet/targets/qnn/operator_rules.h"

namespace octet::qnn {
namespace {

using targets::InputRule;
using targets::OperatorRule;
using targets::Role;
using targets::Sharing;
using enum Role;
using Ops = std::vector<std::string_view>;

// ---- kinds of rows --------------------------------------------------------------------------------------------------

OperatorRule row(Ops ops, std::vector<InputRule> inputs, Role output = kActivation) {
  OperatorRule rule;
  rule.ops = std::move(ops);
  rule.inputs = std::move(inputs);
  rule.output = output;
  return rule;
}

OperatorRule unary(Ops ops, Role output = kActivation, std::string_view argument = "self") {
  return row(std::move(ops), {{argument}}, output);
}

OperatorRule binary(Ops ops, std::string_view first = "self", std::string_view second = "other") {
  return row(std::move(ops), {{first}, {second}});
}

OperatorRule sharing(Sharing how, Ops ops, std::vector<InputRule> inputs = {{"self"}}) {
  OperatorRule rule = row(std::move(ops), std::move(inputs), kShared);
  rule.sharing = how;
  return rule;
}

// Moves values: on its producer's grid.
OperatorRule moving(Ops ops) { return sharing(Sharing::kFirstInputOrOwn, std::move(ops)); }

// The result is no float, or several: what it reads is quantized alone.
OperatorRule reading(Ops ops, std::vector<InputRule> inputs = {{"self"}}) {
  OperatorRule rule = row(std::move(ops), std::move(inputs), kFloat);
  rule.reads_floats = true;
  return rule;
}

OperatorRule comparison(Ops ops) { return reading(std::move(ops), {{"self"}, {"other"}}); }

// A convolution or linear. `joins`: trained as one with the BatchNorm that alone reads it.
OperatorRule product(Ops ops, std::vector<InputRule> inputs, Role output, bool joins) {
  OperatorRule rule = row(std::move(ops), std::move(inputs), output);
  rule.drops_output_before_batch_norm = joins;
  return rule;
}

OperatorRule cast() {
  OperatorRule rule = unary({"aten.to.dtype"});
  rule.reads_floats = true;
  return rule;
}

// ---- the table ------------------------------------------------------------------------------------------------------

const std::vector<InputRule> kConv = {{"input", kConvActivation}, {"weight", kConvWeight}, {"bias", kConvBias}};
const std::vector<InputRule> kTransposed = {
    {"input", kConvActivation}, {"weight", kTransposedConvWeight, 1}, {"bias", kConvBias}};
const std::vector<InputRule> kLinear = {{"input", kConvActivation}, {"weight", kLinearWeight}, {"bias", kLinearBias}};
// Those that are never quantized per channel.
const std::vector<InputRule> kPerTensorConv = {{"input"}, {"weight", kWeight}, {"bias", kBias}};

std::vector<OperatorRule> products() {
  return {
      product({"aten.conv1d.default"}, kConv, kConvActivation, true),
      product({"aten.conv2d.default"}, kConv, kConvActivation, true),
      product({"aten.conv3d.default"}, kConv, kConvActivation, false),
      product({"aten.conv2d.padding"}, kPerTensorConv, kActivation, false),
      product({"aten.convolution.default"}, kPerTensorConv, kActivation, false),
      product({"aten.conv_transpose1d.default"}, kPerTensorConv, kActivation, true),
      product({"aten.conv_transpose2d.input"}, kTransposed, kConvActivation, true),
      product({"aten.conv_transpose3d.input"}, kTransposed, kConvActivation, false),
      product({"aten.linear.default"}, kLinear, kConvActivation, false),
      row({"aten.matmul.default"}, {{"self"}, {"other", kSecondFactor}}),
      row({"aten.bmm.default", "aten.mm.default"}, {{"self"}, {"mat2", kSecondFactor}}),
      unary({"aten.scaled_dot_product_attention.default"}, kActivation, "query"),
  };
}

std::vector<OperatorRule> norms() {
  return {
      row({"aten.batch_norm.default", "aten.instance_norm.default"},
          {{"input"}, {"weight", kBatchNormWeight}, {"bias", kBias}}),
      row({"aten.layer_norm.default"}, {{"input"}, {"weight", kLayerNormWeight}, {"bias", kBias}}),
      reading({"aten.native_layer_norm.default"}, {{"input"}, {"weight", kLayerNormWeight}, {"bias", kBias}}),
      row({"aten.group_norm.default"}, {{"input"}, {"weight", kWeight}, {"bias", kBias}}),
      row({"aten.rms_norm.default"}, {{"input"}, {"weight", kActivation}}),
      unary({"aten.linalg_vector_norm.default"}),
  };
}

std::vector<OperatorRule> arithmetic() {
  return {
      binary({"aten.add.Tensor", "aten.add_.Tensor", "aten.sub.Tensor", "aten.rsub.Tensor", "aten.mul.Tensor",
              "aten.mul_.Tensor", "aten.div.Tensor", "aten.divide.Tensor", "aten.floor_divide.default",
              "aten.maximum.default", "aten.max.other", "aten.minimum.default", "aten.min.other"}),
      binary({"aten.prelu.default"}, "self", "weight"),
      binary({"aten.grid_sampler.default"}, "input", "grid"),
      binary({"aten.cdist.default"}, "x1", "x2"),
      binary({"aten.where.self"}),
      binary({"aten.masked_fill.Tensor"}, "self", "value"),
      comparison({"aten.eq.Tensor", "aten.ne.Tensor", "aten.ge.Tensor", "aten.gt.Tensor", "aten.le.Tensor",
                  "aten.lt.Tensor", "aten.__and__.Tensor", "aten.logical_and.default", "aten.__or__.Tensor",
                  "aten.bitwise_or.Tensor", "aten.__xor__.Tensor", "aten.bitwise_xor.Tensor"}),
      unary({"aten.abs.default", "aten.asin.default", "aten.atan.default", "aten.ceil.default", "aten.cos.default",
             "aten.cumsum.default", "aten.exp.default", "aten.floor.default", "aten.log.default", "aten.neg.default",
             "aten.pow.Tensor_Tensor", "aten.square.default", "aten.round.default", "aten.round.decimals",
             "aten.rsqrt.default", "aten.sign.default", "aten.sin.default", "aten.sqrt.default"}),
  };
}

std::vector<OperatorRule> activations() {
  return {
      unary({"aten.relu.default", "aten.relu_.default", "aten.hardtanh.default", "aten.hardtanh_.default",
             "aten.clamp.default", "aten.clamp_min.default", "aten.clamp_max.default", "aten.elu.default",
             "aten.gelu.default", "aten.hardswish.default", "aten.hardswish_.default", "aten.softmax.int",
             "aten._softmax.default", "aten._safe_softmax.default", "aten.log_softmax.int"}),
      unary({"aten.sigmoid.default", "aten.hardsigmoid.default", "aten.hardsigmoid_.default"}, kUnit),
      unary({"aten.tanh.default"}, kSignedUnit),
  };
}

std::vector<OperatorRule> reductions_and_pools() {
  return {
      unary({"aten.amax.default", "aten.amin.default", "aten.mean.default", "aten.mean.dim", "aten.sum.dim_IntList",
             "aten.adaptive_avg_pool1d.default", "aten.adaptive_avg_pool2d.default", "aten.adaptive_avg_pool3d.default",
             "aten.avg_pool1d.default", "aten.avg_pool2d.default", "aten.avg_pool3d.default",
             "aten.max_pool2d.default"}),
      reading({"aten.argmax.default", "aten.argmin.default", "aten.max.dim", "aten.min.dim",
               "aten.max_pool2d_with_indices.default", "aten.adaptive_max_pool2d.default"}),
  };
}

std::vector<OperatorRule> moves() {
  return {
      unary({"aten.pad.default", "aten.reflection_pad1d.default", "aten.reflection_pad2d.default", "aten.slice.Tensor",
             "aten.select.int", "aten.narrow.default", "aten.flip.default", "aten.col2im.default",
             "aten.im2col.default"}),
      unary({"aten.upsample_bicubic2d.vec", "aten.upsample_bilinear2d.vec", "aten.upsample_nearest2d.vec"}, kActivation,
            "input"),
      cast(),
      moving({"aten.permute.default",
              "aten.transpose.int",
              "aten.swapaxes.default",
              "aten.channel_shuffle.default",
              "aten.pixel_shuffle.default",
              "aten.pixel_unshuffle.default",
              "aten.expand.default",
              "aten.expand_as.default",
              "aten.repeat.default",
              "aten.gather.default",
              "aten.index.Tensor",
              "aten.index_select.default",
              "aten.flatten.using_ints",
              "aten.reshape.default",
              "aten.view.default",
              "aten.view_copy.default",
              "aten._unsafe_view.default",
              "aten.squeeze.default",
              "aten.squeeze.dim",
              "aten.squeeze.dims",
              "aten.squeeze_copy.dims",
              "aten.unsqueeze.default",
              "aten.unsqueeze_copy.default",
              "aten.unflatten.int"}),
      sharing(Sharing::kJoining, {"aten.cat.default", "aten.concat.default"}, {{"tensors"}}),
      sharing(Sharing::kOwn, {"aten.stack.default"}, {{"tensors"}}),
      sharing(Sharing::kOwn, {"aten.split.Tensor", "aten.split_with_sizes.default",
                              "aten.split_with_sizes_copy.default", "aten.chunk.default", "aten.unbind.int",
                              "aten.topk.default", "aten.sort.default", "aten.scatter.value"}),
      sharing(Sharing::kOwn,
              {"aten.scatter.src", "aten.scatter_add.default", "aten.scatter_reduce.two", "aten.slice_scatter.default"},
              {{"self"}, {"src"}}),
      sharing(Sharing::kOwn, {"aten.index_put.default", "aten.index_put_.default"}, {{"values"}}),
      sharing(Sharing::kOwn, {"aten.index_copy.default", "aten.index_copy_.default"}, {{"source"}}),
      sharing(Sharing::kOwn, {"aten.embedding.default"}, {{"weight"}}),
      row({"aten.arange.default", "aten.arange.start", "aten.arange.start_step", "aten.scalar_tensor.default",
           "aten.full.default", "aten.full_like.default", "aten.zeros.default", "aten.zeros_like.default",
           "aten.ones.default", "aten.ones_like.default", "aten.rand.default", "aten.randn.default"},
          {}),
      row({"getitem"}, {}),
  };
}

}  // namespace

std::vector<OperatorRule> operator_rules() {
  std::vector<OperatorRule> rules;
  for (auto part : {products(), norms(), arithmetic(), activations(), reductions_and_pools(), moves()}) {
    rules.insert(rules.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }
  return rules;
}

}  // namespace octet::qnn
