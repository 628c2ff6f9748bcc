// Products with weights.

#include <cmath>

#include "octet/lowering/operators/operators.h"
#include "octet/lowering/operators/window.h"
#include "octet/quantize/bias_pass.h"
#include "octet/quantize/decomposed_ops.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Quantization;

namespace {

// A part of a constant along one dimension, with its part of the scales.
Constant part_of(const Constant& whole, int64_t dim, int64_t start, int64_t length) {
  Constant part = whole;
  part.values = whole.values.narrow(dim, start, length).contiguous();
  Quantization& grid = part.quantization;
  if (grid.scale.size() > 1 && grid.axis == dim) {
    grid.scale.assign(whole.quantization.scale.begin() + start, whole.quantization.scale.begin() + start + length);
    grid.zero_point.assign(static_cast<size_t>(length), 0);
  }
  return part;
}

std::vector<float> accumulator_scales(const Grid& input, const Quantization& weight) {
  std::vector<float> scales;
  for (const float scale : weight.scale) scales.push_back(input.scale * scale);
  return scales;
}

bool is_close(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::abs(a[i] - b[i]) > 1e-5F * std::abs(b[i])) return false;
  }
  return true;
}

// int32 on the grid of the accumulator: as it is where it lies on it, rounded to it otherwise. Zeros where there is
// none.
Constant bias_of(const OperatorLowering& op, std::string_view argument, int64_t channels,
                 const std::optional<Grid>& input, const Constant& weight) {
  const std::optional<Constant> given = op.constant(argument);
  if (!given && !op.is_none(argument)) op.refuse("the bias is no constant");
  if (!input || !weight.is_quantized()) {
    return {given ? dequantized(*given).reshape({channels}) : at::zeros({channels}, at::kFloat), {}};
  }
  Quantization grid;
  grid.scale = accumulator_scales(*input, weight.quantization);
  grid.zero_point.assign(grid.scale.size(), 0);
  if (!given) return {at::zeros({channels}, at::kInt), grid};
  if (given->values.scalar_type() == at::kInt && is_close(given->quantization.scale, grid.scale)) {
    grid.scale = given->quantization.scale;
    return {given->values.reshape({channels}), grid};
  }
  const at::Tensor scales = at::tensor(at::ArrayRef<float>(grid.scale));
  return {bias_levels(dequantized(*given).reshape({channels}), scales, -2147483647), grid};
}

// One scale for all channels: the largest, the others' integers rounded to it.
Constant per_tensor(const Constant& weight) {
  if (weight.quantization.scale.size() < 2) return weight;
  const std::vector<float>& scales = weight.quantization.scale;
  const float largest = *std::max_element(scales.begin(), scales.end());
  return {decomposed::quantize_per_tensor(dequantized(weight), static_cast<double>(largest), 0, -127, 127, at::kChar),
          {{largest}, {0}, 0}};
}

bool is_centred(const Constant& constant) {
  const std::vector<int64_t>& points = constant.quantization.zero_point;
  return std::all_of(points.begin(), points.end(), [](int64_t point) { return point == 0; });
}

Constant weight_of(const OperatorLowering& op, std::string_view argument) {
  std::optional<Constant> weight = op.constant(argument);
  if (!weight) op.refuse("the weight is no constant");
  if (!op.is_quantized()) *weight = {dequantized(*weight), {}};
  for (const int64_t point : weight->quantization.zero_point) {
    if (point == 0) continue;
    throw expected(op.node().where(), "zero point of the weight", "0, as TFLite has it", std::to_string(point))
        .hint("quantize weights symmetrically, or write a .pt2");
  }
  return *weight;
}

Window convolution_window(const OperatorLowering& op, const Constant& weight) {
  Window window;
  window.kernel = {weight.values.size(2), weight.values.size(3)};
  const auto [stride_h, stride_w] = op.pair("stride", {1, 1});
  const auto [dilation_h, dilation_w] = op.pair("dilation", {1, 1});
  window.stride = {stride_h, stride_w};
  window.dilation = {dilation_h, dilation_w};
  return window;
}

void require_image(const OperatorLowering& op) {
  if (op.sizes().size() != 4) {
    op.refuse(octet::str("the input has ", op.sizes().size(), " dimensions, not 4"), "give it a batch dimension");
  }
}

// One group: a convolution of its own on its slice of the channels.
template <typename Convolve>
void convolve_in_groups(OperatorLowering& op, ValueId image, int64_t groups, const Convolve& convolve) {
  const std::vector<int64_t> shape = op.shape_of(image);
  const int64_t depth = shape[3] / groups;
  const std::vector<int64_t> out = op.laid_out(op.node().sizes());
  std::vector<int64_t> piece_shape = {shape[0], shape[1], shape[2], depth};
  std::vector<int64_t> result_shape = {out[0], out[1], out[2], out[3] / groups};
  std::vector<ValueId> results;
  for (int64_t group = 0; group < groups; ++group) {
    const std::string name = octet::str("group_", group);
    const ValueId piece = op.step_on(
        name + "_input", OpCode::kSlice,
        {image, op.indices(name + "_begin", {0, 0, 0, group * depth}), op.indices(name + "_size", piece_shape)},
        piece_shape, op.grid_of(image));
    results.push_back(convolve(name, group, piece, result_shape));
  }
  Options options;
  options.axis = 3;
  op.emit(OpCode::kConcatenation, results, options);
}

}  // namespace

void lower_convolution(OperatorLowering& op) {
  require_image(op);
  const Constant weight = weight_of(op, "weight");
  Window window = convolution_window(op, weight);
  const std::vector<int64_t> in = op.sizes("input");
  const std::vector<int64_t>& out = op.node().sizes();
  if (op.node().is_call("aten.conv2d.padding")) {
    if (op.text("padding", "valid") == "same") {
      for (size_t d = 0; d < 2; ++d) {
        const int64_t total = (window.kernel[d] - 1) * window.dilation[d];
        window.before[d] = total / 2;
        window.after[d] = total - total / 2;
      }
    }
  } else {
    const auto [height, width] = op.pair("padding", {0, 0});
    window.before = window.after = {height, width};
  }
  Options options = window_options(window);
  options.filter_h = options.filter_w = 1;
  ValueId image = op.input("input", true);
  const std::optional<Grid> grid = op.grid_of(image);
  if (window.is_padded() && !op.options().is_plain() && is_same_padding(window, {in[2], in[3]}, {out[2], out[3]})) {
    options.padding = tflite::Padding::kSame;
  } else {
    image = padded_image(op, image, window, Fill::kZero);
  }
  const int64_t groups = op.integer("groups", 1);
  const int64_t channels = out[1];
  const Constant bias = bias_of(op, "bias", channels, grid, weight);
  if (groups == in[1] && groups > 1) {
    options.depth_multiplier = static_cast<int32_t>(channels / groups);
    op.emit(OpCode::kDepthwiseConv2d,
            {image, op.constant_tensor("weight", permuted(weight, {1, 2, 3, 0})), op.constant_tensor("bias", bias)},
            options);
    return;
  }
  const Constant filters = permuted(weight, {0, 2, 3, 1});
  if (groups == 1) {
    op.emit(OpCode::kConv2d, {image, op.constant_tensor("weight", filters), op.constant_tensor("bias", bias)}, options);
    return;
  }
  const int64_t each = channels / groups;
  convolve_in_groups(op, image, groups, [&](const std::string& name, int64_t group, ValueId piece, const auto& shape) {
    const ValueId part = op.constant_tensor(name + "_weight", part_of(filters, 0, group * each, each));
    const ValueId offset = op.constant_tensor(name + "_bias", part_of(bias, 0, group * each, each));
    return op.step(name, OpCode::kConv2d, {piece, part, offset}, shape, options);
  });
}

void lower_transposed_convolution(OperatorLowering& op) {
  require_image(op);
  const Constant weight = weight_of(op, "weight");
  Window window = convolution_window(op, weight);
  if (window.dilation != std::array<int64_t, 2>{1, 1}) {
    op.refuse("dilation of a transposed convolution");
  }
  const auto [pad_h, pad_w] = op.pair("padding", {0, 0});
  window.before = {pad_h, pad_w};
  const std::vector<int64_t> in = op.sizes("input");
  const std::vector<int64_t> out = op.laid_out(op.node().sizes());
  // The whole result, of which the padding is cut off; more where output_padding asks for it.
  std::array<int64_t, 2> whole{};
  for (size_t d = 0; d < 2; ++d) {
    const int64_t full = (in[2 + d] - 1) * window.stride[d] + window.kernel[d];
    whole[d] = std::max(full, window.before[d] + out[1 + d]);
    if (op.options().is_plain()) whole[d] = out[1 + d] + 2 * window.before[d];
  }
  // A transposed convolution is the way back from its result to its image.
  const bool is_same = !op.options().is_plain() && is_same_padding(window, {out[1], out[2]}, {in[2], in[3]});
  const bool is_whole = whole[0] == out[1] && whole[1] == out[2];
  Options options = window_options(window);
  options.filter_h = options.filter_w = options.dilation_h = options.dilation_w = 1;
  options.padding = is_same && !is_whole ? tflite::Padding::kSame : tflite::Padding::kValid;
  const bool is_cut = !is_whole && !is_same;
  const ValueId image = op.input("input", true);
  const std::optional<Grid> grid = op.grid_of(image);
  const int64_t groups = op.integer("groups", 1);
  const int64_t each = out[3] / groups;
  const Constant filters = permuted(weight, {1, 2, 3, 0});
  const int64_t depth = in[1] / groups;

  const auto inputs_of = [&](const std::string& name, int64_t group, ValueId piece, const std::vector<int64_t>& shape) {
    Constant part = groups == 1 ? filters : part_of(filters, 3, group * depth, depth);
    const std::string prefix = name.empty() ? "" : name + "_";
    Constant offset = {at::Tensor(), {}};
    if (groups == 1) {
      offset = bias_of(op, "bias", out[3], grid, weight);
    } else {
      // The weight's scales are those of each group in turn.
      Constant tiled = weight;
      Quantization& scales = tiled.quantization;
      const std::vector<float> one = scales.scale;
      const auto wanted = static_cast<size_t>(out[3]);
      while (one.size() > 1 && scales.scale.size() < wanted)
        scales.scale.insert(scales.scale.end(), one.begin(), one.end());
      scales.zero_point.assign(scales.scale.size(), 0);
      offset = part_of(bias_of(op, "bias", out[3], grid, tiled), 0, group * each, each);
    }
    return std::vector<ValueId>{op.indices(prefix + "output_shape", shape), op.constant_tensor(prefix + "weight", part),
                                piece, op.constant_tensor(prefix + "bias", offset)};
  };
  const auto cut = [&](const std::string& name, ValueId from, const std::vector<int64_t>& shape) {
    return std::vector<ValueId>{from, op.indices(name + "begin", {0, window.before[0], window.before[1], 0}),
                                op.indices(name + "size", shape)};
  };
  const std::vector<int64_t> full_shape = {out[0], whole[0], whole[1], each};
  if (groups == 1) {
    if (!is_cut) {
      op.emit(OpCode::kTransposeConv, inputs_of("", 0, image, out), options);
    } else {
      const ValueId full =
          op.step("full", OpCode::kTransposeConv, inputs_of("", 0, image, full_shape), full_shape, options);
      op.emit(OpCode::kSlice, cut("", full, out));
    }
    return;
  }
  convolve_in_groups(op, image, groups, [&](const std::string& name, int64_t group, ValueId piece, const auto& shape) {
    const std::vector<int64_t>& result = is_cut ? full_shape : shape;
    const ValueId full = op.step(name, OpCode::kTransposeConv, inputs_of(name, group, piece, result), result, options);
    return is_cut ? op.step(name + "_cut", OpCode::kSlice, cut(name + "_", full, shape), shape) : full;
  });
}

namespace {

// x [..., in] by weights [out, in].
void lower_fully_connected(OperatorLowering& op, std::string_view input, const Constant& given, ValueId weight_tensor,
                           std::string_view bias) {
  const std::vector<int64_t> sizes = op.sizes(input);
  const Constant weight = op.options().per_tensor_fc ? per_tensor(given) : given;
  if (weight_tensor == kNoValue) weight_tensor = op.constant_tensor("weight", weight);
  const std::vector<int64_t>& out = op.node().sizes();
  ValueId x = op.input(input, false);
  const std::optional<Grid> grid = op.grid_of(x);
  const int64_t depth = weight.values.size(1);
  const int64_t channels = weight.values.size(0);
  const bool as_matrix = sizes.size() != 2 && (op.options().is_plain() || sizes.size() < 2);
  Options options;
  // The reference sets it wherever there is a bias.
  options.keep_num_dims = op.options().is_plain() ? !bias.empty() : sizes.size() > 2 && !as_matrix;
  std::vector<int64_t> rows = {1, depth};
  for (size_t d = 0; d + 1 < sizes.size(); ++d) rows[0] *= sizes[d];
  if (as_matrix) x = op.reshaped("rows", x, rows);
  std::vector<ValueId> inputs = {x, weight_tensor};
  // The reference leaves the bias of a bare product out.
  if (!op.options().is_plain() || !bias.empty()) {
    const std::string_view argument = bias.empty() ? "bias" : bias;
    inputs.push_back(op.constant_tensor("bias", bias_of(op, argument, channels, grid, weight)));
  }
  if (as_matrix || op.channels_last()) {
    const std::vector<int64_t> flat = as_matrix ? std::vector<int64_t>{rows[0], channels} : out;
    const ValueId product = op.step("product", OpCode::kFullyConnected, inputs, flat, options);
    give_as_given(op, as_matrix ? op.reshaped("unfolded", product, out) : product);
    return;
  }
  op.emit(OpCode::kFullyConnected, inputs, options);
}

}  // namespace

void lower_linear(OperatorLowering& op) {
  lower_fully_connected(op, "input", weight_of(op, "weight"), kNoValue, "bias");
}

void lower_addmm(OperatorLowering& op) {
  if (op.number("alpha", 1.0) != 1.0 || op.number("beta", 1.0) != 1.0) op.refuse("alpha or beta other than 1");
  const Constant weight = weight_of(op, "mat2");
  ValueId turned = kNoValue;
  if (op.options().is_plain())
    turned = op.transposed("weight_transposed", op.constant_tensor("weight", weight), {1, 0});
  lower_fully_connected(op, "mat1", permuted(weight, {1, 0}), turned, "self");
}

void lower_matmul(OperatorLowering& op) {
  const std::string_view right = op.node().has_arg("mat2") ? "mat2" : "other";
  // A weight's levels stand around 0; BATCH_MATMUL takes any factor as it is.
  const std::optional<Constant> factor = op.constant(right);
  if (factor && op.sizes(right).size() == 2 && (!op.is_quantized() || is_centred(*factor))) {
    const Constant weight = weight_of(op, right);
    ValueId turned = kNoValue;
    if (op.options().is_plain())
      turned = op.transposed("weight_transposed", op.constant_tensor("weight", weight), {1, 0});
    lower_fully_connected(op, "self", permuted(weight, {1, 0}), turned, "");
    return;
  }
  const size_t rank = op.node().sizes().size();
  if (op.sizes("self").size() != rank || op.sizes(right).size() != rank || rank < 2) {
    op.refuse("factors of different rank", "reshape them to one rank");
  }
  const ValueId a = op.input("self", false);
  const ValueId b = op.input(right, false);
  if (!op.channels_last()) {
    op.emit(OpCode::kBatchMatmul, {a, b});
    return;
  }
  give_as_given(op, op.step("product", OpCode::kBatchMatmul, {a, b}, op.node().sizes()));
}

void lower_prelu(OperatorLowering& op) {
  Constant slopes = weight_of(op, "weight");
  const int64_t rank = op.rank();
  // One slope for each channel, broadcast over the rest.
  const int64_t count = slopes.values.numel();
  std::vector<int64_t> shape(static_cast<size_t>(std::max<int64_t>(rank - 1, 1)), 1);
  if (rank > 1) shape[static_cast<size_t>(op.axis(1, rank) - 1)] = count;
  slopes.values = slopes.values.reshape(op.options().is_plain() ? std::vector<int64_t>{count} : shape);
  slopes.quantization.axis = 0;
  op.emit(OpCode::kPrelu, {op.input("self"), op.constant_tensor("slopes", slopes)});
}

}  // namespace octet::lowering
