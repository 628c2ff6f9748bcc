#include "octet/lowering/rule.h"

#include <unordered_map>

#include "octet/lowering/clip.h"
#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/operators.h"

namespace octet::lowering {

using tflite::OpCode;
using enum Arithmetic;

namespace {

using Lower = void (*)(OperatorLowering&);
using Ops = std::vector<std::string>;

// An operator and its in-place form.
Ops both(const std::string& op) {
  const size_t overload = op.rfind('.');
  return {op, op.substr(0, overload) + "_" + op.substr(overload)};
}

Ops all_of(std::initializer_list<Ops> parts) {
  Ops all;
  for (const Ops& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// ---- kinds of rows --------------------------------------------------------------------------------------------------

OperatorRow row(Ops ops, Arithmetic arithmetic, Layout layout, std::string_view builtins, Lower lower,
                SamplesRule samples = nullptr) {
  OperatorRow rule;
  rule.ops = std::move(ops);
  rule.arithmetic = arithmetic;
  rule.layout = layout;
  rule.builtins = builtins;
  rule.lower = lower;
  rule.samples = samples;
  return rule;
}

// Each number by itself.
OperatorRow unary(Ops ops, std::string_view builtins, Lower lower, Arithmetic arithmetic = kInteger) {
  return row(std::move(ops), arithmetic, Layout::kAny, builtins, lower, samples::apart);
}

// Pairs of numbers, of inputs that broadcast.
OperatorRow binary(Ops ops, std::string_view builtins, Lower lower, Arithmetic arithmetic = kInteger) {
  return row(std::move(ops), arithmetic, Layout::kAny, builtins, lower, samples::broadcast);
}

// Unary, and may stand in front of a quantize together with the operator before it.
OperatorRow activation(Ops ops, std::string_view builtins, Lower lower, Arithmetic arithmetic = kInteger) {
  OperatorRow rule = unary(std::move(ops), builtins, lower, arithmetic);
  rule.auxiliary = true;
  return rule;
}

// An activation on a fixed grid: beyond `reach` its result does not change by an int8 step.
OperatorRow saturating(Ops ops, std::string_view builtins, Lower lower, double reach) {
  OperatorRow rule = activation(std::move(ops), builtins, lower);
  rule.reach = reach;
  return rule;
}

OperatorRow along_dim(Ops ops, Arithmetic arithmetic, std::string_view builtins, Lower lower) {
  return row(std::move(ops), arithmetic, Layout::kAny, builtins, lower, samples::along_dim);
}

OperatorRow reduction(Ops ops, Arithmetic arithmetic, std::string_view builtins, Lower lower) {
  return row(std::move(ops), arithmetic, Layout::kReduces, builtins, lower, samples::over_dims);
}

OperatorRow on_image(Ops ops, Arithmetic arithmetic, std::string_view builtins, Lower lower,
                     SamplesRule samples = samples::apart) {
  return row(std::move(ops), arithmetic, Layout::kChannelsFirst, builtins, lower, samples);
}

// On images of one row, which TFLite has not: between reshapes.
OperatorRow on_line(Ops ops, Arithmetic arithmetic, std::string_view builtins, Lower lower) {
  return row(std::move(ops), arithmetic, Layout::kReshapes, builtins, lower, samples::apart);
}

OperatorRow product(Ops ops, std::string_view builtins, Lower lower, MacsRule macs, SamplesRule samples = nullptr) {
  OperatorRow rule = row(std::move(ops), kInteger, Layout::kReshapes, builtins, lower, samples);
  rule.macs = macs;
  return rule;
}

OperatorRow convolution(Ops ops, std::string_view builtins, Lower lower, MacsRule macs) {
  OperatorRow rule = on_image(std::move(ops), kInteger, builtins, lower);
  rule.macs = macs;
  return rule;
}

OperatorRow view(Ops ops, std::string_view builtins, Lower lower, SamplesRule samples = nullptr) {
  OperatorRow rule = row(std::move(ops), kMoves, Layout::kReshapes, builtins, lower, samples);
  rule.auxiliary = true;
  return rule;
}

OperatorRow nothing(Ops ops, SamplesRule samples = nullptr) {
  OperatorRow rule = row(std::move(ops), kMoves, Layout::kAny, "", lower_alias, samples);
  rule.auxiliary = true;
  return rule;
}

// What TFLite cannot express.
OperatorRow not_lowered(Ops ops, SamplesRule samples, MacsRule macs = nullptr) {
  OperatorRow rule;
  rule.ops = std::move(ops);
  rule.samples = samples;
  rule.macs = macs;
  return rule;
}

// ---- the table ------------------------------------------------------------------------------------------------------

std::vector<OperatorRow> make_rules() {
  return {
      // Products.
      convolution({"aten.conv2d.default", "aten.conv2d.padding"}, "CONV_2D or DEPTHWISE_CONV_2D", lower_convolution,
                  macs_of::convolution),
      convolution({"aten.conv_transpose2d.input"}, "TRANSPOSE_CONV", lower_transposed_convolution,
                  macs_of::transposed_convolution),
      product({"aten.linear.default"}, "FULLY_CONNECTED", lower_linear, macs_of::product, samples::apart),
      product({"aten.addmm.default"}, "FULLY_CONNECTED", lower_addmm, macs_of::added_product),
      product({"aten.mm.default"}, "FULLY_CONNECTED", lower_matmul, macs_of::product),
      product({"aten.bmm.default", "aten.matmul.default"}, "BATCH_MATMUL", lower_matmul, macs_of::product),
      row({"aten.prelu.default"}, kInteger, Layout::kChannelsFirstSlopes, "PRELU", lower_prelu),
      unary({"aten.batch_norm.default"}, "MUL, ADD", lower_batch_norm, kFloat),
      row({"aten.layer_norm.default"}, kFloat, Layout::kReshapes, "MEAN, SQUARED_DIFFERENCE, RSQRT, SUB, MUL, ADD",
          lower_layer_norm),
      row({"aten.group_norm.default"}, kFloat, Layout::kReshapes,
          "RESHAPE, MEAN, SQUARED_DIFFERENCE, RSQRT, SUB, MUL, ADD", lower_group_norm, samples::apart),
      row({"aten.instance_norm.default"}, kFloat, Layout::kReshapes, "MEAN, SQUARED_DIFFERENCE, RSQRT, SUB, MUL, ADD",
          lower_instance_norm, samples::apart),
      row({"aten.rms_norm.default"}, kFloat, Layout::kReshapes, "MUL, MEAN, ADD, RSQRT", lower_rms_norm),
      not_lowered({"aten.conv1d.default", "aten.conv1d.padding", "aten.conv3d.default", "aten.conv3d.padding"},
                  samples::apart, macs_of::convolution),
      not_lowered({"aten.conv_transpose1d.default", "aten.conv_transpose3d.input"}, samples::apart,
                  macs_of::transposed_convolution),
      not_lowered({"aten.convolution.default", "aten._convolution.default", "aten._convolution.deprecated"}, nullptr,
                  macs_of::either_convolution),
      not_lowered({"aten.mv.default", "aten.dot.default"}, nullptr, macs_of::product),
      not_lowered({"aten.baddbmm.default"}, nullptr, macs_of::added_product),
      not_lowered({"aten._native_batch_norm_legit_no_training.default"}, samples::apart),

      // Along a sequence.
      row({"aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input"}, kFloat,
          Layout::kReshapes, "FULLY_CONNECTED, ADD, LOGISTIC, TANH, MUL, SLICE, CONCATENATION", lower_recurrent),

      // Activations.
      activation(both("aten.relu.default"), "RELU", lower_clip),
      activation(both("aten.relu6.default"), "RELU6", lower_clip),
      saturating(both("aten.sigmoid.default"), "LOGISTIC", lower_unary<OpCode::kLogistic>, 8.0),
      saturating(both("aten.tanh.default"), "TANH", lower_unary<OpCode::kTanh>, 4.0),
      activation(both("aten.hardtanh.default"), "RELU_N1_TO_1, RELU_0_TO_1, RELU6, RELU or MINIMUM, MAXIMUM",
                 lower_clip, kClip),
      unary(both("aten.clamp.default"), "RELU_N1_TO_1, RELU_0_TO_1, RELU6, RELU or MINIMUM, MAXIMUM", lower_clip,
            kClip),
      unary(both("aten.hardswish.default"), "HARD_SWISH", lower_unary<OpCode::kHardSwish>),
      unary(both("aten.leaky_relu.default"), "LEAKY_RELU", lower_leaky_relu),
      along_dim({"aten.softmax.int", "aten._safe_softmax.default"}, kInteger, "SOFTMAX", lower_softmax),
      along_dim({"aten.log_softmax.int"}, kFloat, "LOG_SOFTMAX", lower_log_softmax),
      unary(both("aten.gelu.default"), "GELU", lower_gelu, kFloat),
      unary(both("aten.silu.default"), "LOGISTIC, MUL", lower_silu, kFloat),
      unary(both("aten.hardsigmoid.default"), "ADD, RELU6, MUL", lower_hardsigmoid, kFloat),
      unary(both("aten.elu.default"), "ELU or EXP, SUB, MUL, MAXIMUM, MINIMUM, ADD", lower_function, kFloat),
      unary(all_of({both("aten.selu.default"), both("aten.celu.default"), both("aten.rrelu.default")}),
            "EXP, SUB, MUL, MAXIMUM, MINIMUM, ADD", lower_function, kFloat),
      unary({"aten.softplus.default", "aten.log_sigmoid.default"}, "EXP, LOG, ABS, NEG, MAXIMUM, ADD", lower_function,
            kFloat),
      unary(both("aten.mish.default"), "EXP, LOG, ABS, NEG, MAXIMUM, ADD, TANH, MUL", lower_function, kFloat),
      unary(all_of({both("aten.threshold.default"), {"aten.hardshrink.default"}}), "GREATER, SELECT_V2", lower_function,
            kFloat),
      unary({"aten.softshrink.default"}, "MINIMUM, MAXIMUM, SUB", lower_function, kFloat),

      // Arithmetic.
      binary(both("aten.add.Tensor"), "ADD", lower_add),
      binary(both("aten.sub.Tensor"), "SUB", lower_sub),
      binary(both("aten.mul.Tensor"), "MUL", lower_binary<OpCode::kMul>),
      binary(both("aten.div.Tensor"), "DIV", lower_binary<OpCode::kDiv>, kFloat),
      binary({"aten.maximum.default"}, "MAXIMUM", lower_binary<OpCode::kMaximum>, kOneGrid),
      binary({"aten.minimum.default"}, "MINIMUM", lower_binary<OpCode::kMinimum>, kOneGrid),
      unary({"aten.pow.Tensor_Scalar"}, "POW", lower_pow, kFloat),
      unary({"aten.sqrt.default"}, "SQRT", lower_unary<OpCode::kSqrt>, kFloat),
      unary({"aten.log.default"}, "LOG", lower_unary<OpCode::kLog>),
      unary({"aten.rsqrt.default"}, "RSQRT", lower_unary<OpCode::kRsqrt>),
      unary({"aten.abs.default"}, "ABS", lower_unary<OpCode::kAbs>),
      unary({"aten.exp.default"}, "EXP", lower_unary<OpCode::kExp>),
      unary({"aten.neg.default"}, "SUB", lower_neg),
      binary({"aten.pow.Tensor_Tensor", "aten.pow.Scalar"}, "POW", lower_power, kFloat),
      unary({"aten.reciprocal.default"}, "DIV", lower_reciprocal, kFloat),
      unary({"aten.square.default"}, "MUL", lower_square, kFloat),
      unary({"aten.floor.default"}, "FLOOR", lower_unary<OpCode::kFloor>, kFloat),
      unary({"aten.ceil.default"}, "NEG, FLOOR", lower_ceil, kFloat),
      unary({"aten.round.default"}, "ROUND", lower_unary<OpCode::kRound>, kFloat),
      unary({"aten.sign.default", "aten.sgn.default"}, "SIGN", lower_unary<OpCode::kSign>, kFloat),
      unary({"aten.sin.default"}, "SIN", lower_unary<OpCode::kSin>, kFloat),
      unary({"aten.cos.default"}, "COS", lower_unary<OpCode::kCos>, kFloat),
      unary({"aten.log2.default", "aten.log10.default", "aten.log1p.default", "aten.exp2.default", "aten.expm1.default",
             "aten.special_expm1.default"},
            "LOG or EXP, MUL, ADD, SUB", lower_function, kFloat),
      unary({"aten.tan.default", "aten.sinh.default", "aten.cosh.default", "aten.asinh.default", "aten.acosh.default",
             "aten.atanh.default"},
            "SIN, COS, EXP, LOG, SQRT, MUL, DIV, ADD, SUB", lower_function, kFloat),
      unary(all_of({both("aten.atan.default"),
                    both("aten.asin.default"),
                    both("aten.acos.default"),
                    both("aten.erf.default"),
                    {"aten.special_erf.default"}}),
            "ABS, GREATER, SELECT_V2, MUL, ADD, SUB, DIV, SQRT or EXP, SIGN", lower_angle, kFloat),
      binary({"aten.atan2.default"}, "ABS, MINIMUM, MAXIMUM, DIV, MUL, ADD, SUB, GREATER, LESS, SELECT_V2, NEG",
             lower_atan2, kFloat),
      unary({"aten.trunc.default", "aten.fix.default", "aten.frac.default"}, "SIGN, FLOOR, ABS, MUL, SUB",
            lower_function, kFloat),
      binary({"aten.fmod.Tensor", "aten.fmod.Scalar"}, "DIV, SIGN, FLOOR, ABS, MUL, SUB", lower_fmod, kFloat),
      binary({"aten.floor_divide.default", "aten.floor_divide.Scalar", "aten.div.Tensor_mode", "aten.div.Scalar_mode"},
             "FLOOR_DIV or DIV, SIGN, FLOOR, ABS, MUL, or with LESS, NOT_EQUAL, CAST", lower_rounded_division, kFloat),
      binary({"aten.remainder.Tensor", "aten.remainder.Scalar"}, "FLOOR_MOD", lower_remainder, kFloat),

      // Comparisons and choices, in float and in whole numbers.
      binary({"aten.eq.Tensor", "aten.eq.Scalar"}, "EQUAL", lower_comparison<OpCode::kEqual>, kFloat),
      binary({"aten.ne.Tensor", "aten.ne.Scalar"}, "NOT_EQUAL", lower_comparison<OpCode::kNotEqual>, kFloat),
      binary({"aten.lt.Tensor", "aten.lt.Scalar"}, "LESS", lower_comparison<OpCode::kLess>, kFloat),
      binary({"aten.le.Tensor", "aten.le.Scalar"}, "LESS_EQUAL", lower_comparison<OpCode::kLessEqual>, kFloat),
      binary({"aten.gt.Tensor", "aten.gt.Scalar"}, "GREATER", lower_comparison<OpCode::kGreater>, kFloat),
      binary({"aten.ge.Tensor", "aten.ge.Scalar"}, "GREATER_EQUAL", lower_comparison<OpCode::kGreaterEqual>, kFloat),
      unary({"aten.isnan.default"}, "NOT_EQUAL", lower_is_nan, kFloat),
      binary({"aten.logical_and.default", "aten.bitwise_and.Tensor", "aten.__and__.Tensor"}, "LOGICAL_AND",
             lower_logic<OpCode::kLogicalAnd>, kFloat),
      binary({"aten.logical_or.default", "aten.bitwise_or.Tensor", "aten.__or__.Tensor"}, "LOGICAL_OR",
             lower_logic<OpCode::kLogicalOr>, kFloat),
      binary({"aten.logical_xor.default", "aten.bitwise_xor.Tensor", "aten.__xor__.Tensor"}, "NOT_EQUAL",
             lower_logic<OpCode::kNotEqual>, kFloat),
      unary({"aten.logical_not.default", "aten.bitwise_not.default"}, "LOGICAL_NOT", lower_logic<OpCode::kLogicalNot>,
            kFloat),
      binary({"aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar"}, "SELECT_V2",
             lower_where, kFloat),
      binary({"aten.masked_fill.Scalar", "aten.masked_fill.Tensor", "aten.masked_fill_.Scalar",
              "aten.masked_fill_.Tensor"},
             "SELECT_V2", lower_masked_fill, kFloat),
      unary({"aten.to.dtype", "aten.to.dtype_layout", "aten.to.other", "aten.to.device", "aten._to_copy.default",
             "aten.type_as.default"},
            "CAST", lower_cast, kFloat),
      row({"aten.clamp.Tensor"}, kFloat, Layout::kAny, "MAXIMUM, MINIMUM", lower_clamp_by_tensors, samples::broadcast),
      unary(both("aten.nan_to_num.default"), "NOT_EQUAL, EQUAL, SELECT_V2", lower_nan_to_num, kFloat),
      row({"aten.scatter.value", "aten.scatter_.value"}, kFloat, Layout::kReshapes,
          "RESHAPE, EQUAL, REDUCE_ANY, SELECT_V2", lower_scatter_of_number),
      row({"aten.scatter.src", "aten.scatter_.src", "aten.scatter_add.default", "aten.scatter_add_.default"}, kFloat,
          Layout::kReshapes, "RESHAPE, EQUAL, SELECT_V2, SUM, ADD or REDUCE_MAX, GREATER_EQUAL", lower_scatter),
      row(all_of({both("aten.index_copy.default"), both("aten.index_add.default")}), kFloat, Layout::kReshapes,
          "RESHAPE, EQUAL, SELECT_V2, SUM, ADD or REDUCE_MAX, GREATER_EQUAL", lower_index_copy),
      row(both("aten.index_put.default"), kFloat, Layout::kReshapes,
          "RESHAPE, EQUAL, SELECT_V2, SUM, ADD or REDUCE_MAX, GREATER_EQUAL", lower_index_put),
      row({"aten.zeros_like.default", "aten.ones_like.default", "aten.full_like.default", "aten.new_zeros.default",
           "aten.new_ones.default", "aten.new_full.default", "aten.zeros.default", "aten.ones.default",
           "aten.full.default"},
          kFloat, Layout::kAny, "", lower_filled, samples::apart),
      row({"aten.arange.default", "aten.arange.start", "aten.arange.start_step", "aten.linspace.default",
           "aten.eye.default"},
          kFloat, Layout::kReshapes, "", lower_counted),
      row({"aten.one_hot.default"}, kFloat, Layout::kReshapes, "EQUAL, CAST", lower_one_hot),

      // What stands in order of size.
      row({"aten.argmax.default"}, kFloat, Layout::kReshapes, "ARG_MAX", lower_place_of_extremum<OpCode::kArgMax>,
          samples::along_dim),
      row({"aten.argmin.default"}, kFloat, Layout::kReshapes, "ARG_MIN", lower_place_of_extremum<OpCode::kArgMin>,
          samples::along_dim),
      row({"aten.max.dim"}, kFloat, Layout::kReshapes, "REDUCE_MAX, ARG_MAX", lower_extremum<OpCode::kReduceMax>,
          samples::along_dim),
      row({"aten.min.dim"}, kFloat, Layout::kReshapes, "REDUCE_MIN, ARG_MIN", lower_extremum<OpCode::kReduceMin>,
          samples::along_dim),
      row({"aten.topk.default"}, kFloat, Layout::kReshapes, "TOPK_V2, CAST", lower_topk, samples::along_dim),
      row({"aten.sort.default", "aten.sort.stable", "aten.argsort.default", "aten.argsort.stable"}, kFloat,
          Layout::kReshapes, "NEG, TOPK_V2, CAST", lower_sort, samples::along_dim),
      row({"aten.cumsum.default"}, kFloat, Layout::kAny, "CUMSUM", lower_cumulative_sum, samples::along_dim),
      reduction({"aten.any.default", "aten.any.dim", "aten.any.dims"}, kFloat, "REDUCE_ANY",
                lower_reduction<OpCode::kReduceAny>),
      reduction({"aten.all.default", "aten.all.dim", "aten.all.dims"}, kFloat, "REDUCE_ALL",
                lower_reduction<OpCode::kReduceAll>),

      // Reductions, pools, resizes.
      reduction({"aten.amax.default", "aten.max.default"}, kPicks, "REDUCE_MAX", lower_reduction<OpCode::kReduceMax>),
      reduction({"aten.amin.default", "aten.min.default"}, kPicks, "REDUCE_MIN", lower_reduction<OpCode::kReduceMin>),
      reduction({"aten.mean.dim", "aten.mean.default"}, kInteger, "MEAN", lower_reduction<OpCode::kMean>),
      reduction({"aten.sum.default", "aten.sum.dim_IntList"}, kInteger, "SUM, or FULLY_CONNECTED", lower_sum_of_all),
      row({"aten.logsumexp.default"}, kFloat, Layout::kReshapes, "REDUCE_MAX, SUB, EXP, SUM, LOG, ADD",
          lower_log_sum_exp, samples::over_dims),
      reduction({"aten.linalg_vector_norm.default"}, kFloat, "MUL, SUM, SQRT, or ABS, SUM or REDUCE_MAX",
                lower_vector_norm),
      row({"aten.cumprod.default"}, kFloat, Layout::kReshapes, "SLICE, MUL, CONCATENATION", lower_cumulative_product),
      row({"aten.prod.default", "aten.prod.dim_int"}, kFloat, Layout::kReshapes, "SLICE, MUL", lower_product_of_all),
      row({"aten.cosine_similarity.default"}, kFloat, Layout::kReshapes, "MUL, SUM, SQRT, MAXIMUM, DIV",
          lower_cosine_similarity),
      row({"aten.pairwise_distance.default"}, kFloat, Layout::kReshapes, "SUB, ADD, MUL, SUM, SQRT, or ABS, REDUCE_MAX",
          lower_pairwise_distance),
      row({"aten.cdist.default"}, kFloat, Layout::kReshapes, "SUB, MUL, SUM, SQRT, or ABS, REDUCE_MAX",
          lower_distances),
      on_line({"aten.adaptive_avg_pool1d.default"}, kPicks, "AVERAGE_POOL_2D", lower_adaptive_average_pool),
      on_image({"aten.adaptive_avg_pool2d.default"}, kPicks, "AVERAGE_POOL_2D", lower_adaptive_average_pool),
      on_line({"aten.avg_pool1d.default"}, kPicks, "AVERAGE_POOL_2D", lower_average_pool),
      on_image({"aten.avg_pool2d.default"}, kPicks, "AVERAGE_POOL_2D", lower_average_pool),
      on_line({"aten.max_pool1d.default"}, kPicks, "MAX_POOL_2D", lower_max_pool),
      on_image({"aten.max_pool2d.default"}, kPicks, "MAX_POOL_2D", lower_max_pool),
      on_image({"aten.upsample_bilinear2d.vec"}, kPicks, "RESIZE_BILINEAR", lower_resize_bilinear),
      on_image({"aten.upsample_nearest2d.vec"}, kPicks, "RESIZE_NEAREST_NEIGHBOR, else GATHER", lower_resize_nearest),
      on_image({"aten._upsample_nearest_exact2d.vec"}, kMoves, "GATHER", lower_resize_by_places),
      on_image({"aten.grid_sampler.default", "aten.grid_sampler_2d.default"}, kFloat,
               "SLICE, RESHAPE, ADD, SUB, MUL, FLOOR, MAXIMUM, MINIMUM, EQUAL, CAST, GATHER", lower_grid_sampler),
      row({"aten.affine_grid_generator.default"}, kFloat, Layout::kReshapes, "BATCH_MATMUL", lower_affine_grid),
      not_lowered({"aten.adaptive_max_pool2d.default"}, samples::apart),

      // Moving values.
      row({"aten.cat.default"}, kOneGrid, Layout::kAny, "CONCATENATION", lower_concatenation, samples::joined),
      nothing(both("aten.dropout.default"), samples::apart),
      nothing(both("aten.feature_dropout.default"), samples::apart),
      nothing(both("aten.alpha_dropout.default"), samples::apart),
      nothing(both("aten.feature_alpha_dropout.default"), samples::apart),
      nothing({"aten.clone.default", "aten.contiguous.default", "aten.alias.default"}, samples::apart),
      nothing({"aten.detach.default", "aten.lift_fresh_copy.default"}),
      view({"aten.flatten.using_ints"}, "RESHAPE", lower_reshape, samples::from_dim),
      view({"aten.reshape.default", "aten.view.default", "aten._unsafe_view.default", "aten.squeeze.default",
            "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default", "aten.unflatten.int",
            "aten.reshape_as.default", "aten.view_as.default"},
           "RESHAPE", lower_reshape),
      view({"aten.permute.default", "aten.transpose.int", "aten.t.default"}, "TRANSPOSE", lower_permutation),
      row({"aten.slice.Tensor"}, kMoves, Layout::kAny, "SLICE", lower_slice),
      along_dim({"aten.index_select.default"}, kMoves, "GATHER", lower_index_select),
      row({"aten.embedding.default"}, kFloat, Layout::kReshapes, "GATHER", lower_embedding),
      row({"aten.embedding_bag.default", "aten.embedding_bag.padding_idx"}, kFloat, Layout::kReshapes,
          "GATHER, MUL, SUM, MEAN or REDUCE_MAX", lower_embedding_bag),
      row({"aten.gather.default"}, kMoves, Layout::kReshapes, "RESHAPE, MUL, ADD, GATHER", lower_gather),
      row({"aten.index.Tensor"}, kMoves, Layout::kReshapes, "RESHAPE, MUL, ADD, GATHER", lower_index),
      row({"aten.repeat.default"}, kMoves, Layout::kReshapes, "TILE", lower_repeat),
      row({"aten.flip.default"}, kMoves, Layout::kAny, "REVERSE_V2", lower_flip),
      row({"aten.select.int"}, kMoves, Layout::kReshapes, "SLICE, RESHAPE", lower_select),
      row({"aten.split.Tensor", "aten.split_with_sizes.default", "aten.chunk.default"}, kMoves, Layout::kReshapes,
          "SLICE", lower_split),
      row({"aten.unbind.int"}, kMoves, Layout::kReshapes, "SLICE, RESHAPE", lower_unbind),
      row({"aten.pad.default"}, kMoves, Layout::kAny, "PAD, PADV2 or MIRROR_PAD", lower_pad),
      row({"aten.expand.default", "aten.expand_as.default"}, kMoves, Layout::kReshapes, "BROADCAST_TO", lower_expand),
      on_image({"aten.pixel_shuffle.default"}, kMoves, "RESHAPE, TRANSPOSE", lower_pixel_shuffle, nullptr),
      on_image({"aten.pixel_unshuffle.default"}, kMoves, "RESHAPE, TRANSPOSE", lower_pixel_unshuffle, nullptr),
  };
}

const OperatorRow* row_of(OpName op) {
  static const std::unordered_map<uint64_t, const OperatorRow*> by_op = [] {
    std::unordered_map<uint64_t, const OperatorRow*> map;
    for (const OperatorRow& rule : operator_rows()) {
      for (const std::string& name : rule.ops) map.emplace(OpName(name).id(), &rule);
    }
    return map;
  }();
  const auto found = by_op.find(op.id());
  return found != by_op.end() ? found->second : nullptr;
}

}  // namespace

const std::vector<OperatorRow>& operator_rows() {
  static const std::vector<OperatorRow> rules = make_rules();
  return rules;
}

const OperatorRow* find_operator(const Node& node) { return node.is_call() ? row_of(node.op().name()) : nullptr; }

const OperatorRow* find_lowering_rule(const Node& node) {
  return node.is_call() ? find_lowering_rule(node.op().name()) : nullptr;
}

const OperatorRow* find_lowering_rule(OpName op) {
  const OperatorRow* found = row_of(op);
  return found != nullptr && found->lower != nullptr ? found : nullptr;
}

bool moves_values(const Node& node) {
  const OperatorRow* rule = find_lowering_rule(node);
  if (rule == nullptr) return false;
  if (rule->arithmetic != kClip) return rule->arithmetic == kMoves || rule->arithmetic == kPicks;
  const std::optional<ActivationBounds> bounds = clipping_bounds(node);
  return bounds && !activation_of(*bounds);
}

bool computes_in_int8(const Node& node) {
  const OperatorRow* rule = find_lowering_rule(node);
  return rule != nullptr && rule->arithmetic != kMoves && rule->arithmetic != kFloat;
}

bool is_auxiliary(const Node& node) {
  if (node.kind() == NodeKind::kGetItem) return true;
  const OperatorRow* rule = find_lowering_rule(node);
  return rule != nullptr && rule->auxiliary;
}

}  // namespace octet::lowering
