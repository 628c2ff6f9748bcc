// Pools and resizes.

#include "octet/lowering/operators/operators.h"
#include "octet/lowering/operators/window.h"
#include "octet/lowering/resampling.h"
#include "octet/lowering/rule.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

// An image of a pool: NHWC, also where the pool is over one dimension or lacks the batch.
struct PoolImage {
  ValueId tensor;
  std::array<int64_t, 2> in;
  std::array<int64_t, 2> out;
  bool is_native;  // the node itself is kept as NHWC
};

bool is_one_dimensional(const OperatorLowering& op) {
  return find_lowering_rule(op.node())->layout != Layout::kChannelsFirst;
}

// Sizes as [N, C, H, W].
std::vector<int64_t> as_image(const std::vector<int64_t>& sizes, bool one_dimensional) {
  std::vector<int64_t> image = sizes;
  if (one_dimensional) image.insert(image.end() - 1, 1);
  if (image.size() == 3) image.insert(image.begin(), 1);
  return image;
}

PoolImage pool_image(OperatorLowering& op) {
  const bool flat = is_one_dimensional(op);
  const std::vector<int64_t> in = as_image(op.sizes("self"), flat);
  const std::vector<int64_t> out = as_image(op.node().sizes(), flat);
  const bool is_native = !flat && op.sizes("self").size() == 4;
  const ValueId tensor =
      is_native ? op.input("self", true)
                : op.transposed("image", op.reshaped("widened", op.input("self", false), in), {0, 2, 3, 1});
  return {tensor, {in[2], in[3]}, {out[2], out[3]}, is_native};
}

Window pool_window(const OperatorLowering& op) {
  Window window;
  const auto [kernel_h, kernel_w] = op.pair("kernel_size", {1, 1});
  const auto [stride_h, stride_w] = op.pair("stride", {kernel_h, kernel_w});
  const auto [pad_h, pad_w] = op.pair("padding", {0, 0});
  const auto [dilation_h, dilation_w] = op.pair("dilation", {1, 1});
  window.kernel = {kernel_h, kernel_w};
  window.stride = {stride_h, stride_w};
  window.before = window.after = {pad_h, pad_w};
  window.dilation = {dilation_h, dilation_w};
  if (is_one_dimensional(op)) {
    window.kernel[0] = window.stride[0] = window.dilation[0] = 1;
    window.before[0] = window.after[0] = 0;
  }
  return window;
}

// How far the last window reaches beyond the padded image: ceil_mode.
std::array<int64_t, 2> overhang(const Window& window, const PoolImage& image) {
  std::array<int64_t, 2> rest{};
  for (size_t d = 0; d < 2; ++d) {
    const int64_t reach = (image.out[d] - 1) * window.stride[d] + (window.kernel[d] - 1) * window.dilation[d] + 1;
    rest[d] = std::max<int64_t>(0, reach - image.in[d] - window.before[d] - window.after[d]);
  }
  return rest;
}

// Puts a pooled NHWC value in the node's place.
void give_pooled(OperatorLowering& op, const PoolImage& image, ValueId pooled) {
  if (image.is_native) {
    op.alias(pooled);
    return;
  }
  const ValueId turned = op.transposed("pooled_nchw", pooled, {0, 3, 1, 2});
  give_as_given(op, op.reshaped("narrowed", turned, op.node().sizes()));
}

void emit_pool(OperatorLowering& op, OpCode code, const PoolImage& image, ValueId tensor, const Options& options) {
  if (image.is_native) {
    op.emit(code, {tensor}, options);
    return;
  }
  const std::vector<int64_t> shape = op.shape_of(tensor);
  const ValueId pooled = op.step("pooled", code, {tensor}, {shape[0], image.out[0], image.out[1], shape[3]}, options);
  give_pooled(op, image, pooled);
}

Options convolution_options(const Window& window) {
  Options options = window_options(window);
  options.filter_h = options.filter_w = 1;
  return options;
}

Options pool_options(const Window& window) {
  Options options = window_options(window);
  options.dilation_h = options.dilation_w = 1;
  return options;
}

// The largest of the places of the kernel, each a part of the image with the pool's strides.
ValueId dilated_maximum(OperatorLowering& op, const PoolImage& image, Window window) {
  const auto rest = overhang(window, image);
  for (size_t d = 0; d < 2; ++d) window.after[d] += rest[d];
  const ValueId padded = padded_image(op, image.tensor, window, Fill::kLowest);
  const std::vector<int64_t> in = op.shape_of(padded);
  const std::vector<int64_t> out = {in[0], image.out[0], image.out[1], in[3]};
  const ValueId strides = op.indices("strides", {1, window.stride[0], window.stride[1], 1});
  ValueId largest = kNoValue;
  for (int64_t y = 0; y < window.kernel[0]; ++y) {
    for (int64_t x = 0; x < window.kernel[1]; ++x) {
      const int64_t top = y * window.dilation[0], left = x * window.dilation[1];
      const std::string name = octet::str("place_", y, "_", x);
      const ValueId begin = op.indices(name + "_begin", {0, top, left, 0});
      const ValueId end = op.indices(name + "_end", {in[0], top + (image.out[0] - 1) * window.stride[0] + 1,
                                                     left + (image.out[1] - 1) * window.stride[1] + 1, in[3]});
      const ValueId place = op.step(name, OpCode::kStridedSlice, {padded, begin, end, strides}, out);
      largest = largest == kNoValue ? place : op.step(name + "_max", OpCode::kMaximum, {largest, place}, out);
    }
  }
  return largest;
}

// Windows that hold different numbers of elements: their sums, by a depthwise convolution in float, over their counts.
ValueId average_of_parts(OperatorLowering& op, const PoolImage& image, const Window& window, bool counts_padding) {
  std::array<at::Tensor, 2> counts;
  for (size_t d = 0; d < 2; ++d) {
    counts[d] = at::zeros({image.out[d]}, at::kFloat);
    const int64_t first = counts_padding ? -window.before[d] : 0;
    const int64_t last = image.in[d] + (counts_padding ? window.after[d] : 0);
    for (int64_t i = 0; i < image.out[d]; ++i) {
      const int64_t start = i * window.stride[d] - window.before[d];
      counts[d][i] = std::min(start + window.kernel[d], last) - std::max(start, first);
    }
  }
  const std::vector<int64_t> in = op.shape_of(image.tensor);
  const int64_t channels = in[3];
  const ValueId floats =
      op.is_quantized() ? op.step_on("floats", OpCode::kDequantize, {image.tensor}, in, std::nullopt) : image.tensor;
  Window around = window;
  const auto rest = overhang(window, image);
  for (size_t d = 0; d < 2; ++d) around.after[d] += rest[d];
  const ValueId padded = padded_image(op, floats, around, Fill::kZero);
  const std::vector<int64_t> shape = {in[0], image.out[0], image.out[1], channels};
  const at::Tensor ones = at::ones({1, window.kernel[0], window.kernel[1], channels}, at::kFloat);
  const ValueId sums = op.step_on("sums", OpCode::kDepthwiseConv2d,
                                  {padded, op.numbers("ones", ones, std::nullopt),
                                   op.numbers("zeros", at::zeros({channels}, at::kFloat), std::nullopt)},
                                  shape, std::nullopt, convolution_options(window));
  const at::Tensor shares = (counts[0].view({-1, 1}) * counts[1].view({1, -1})).reciprocal();
  const ValueId factors = op.numbers("shares", shares.view({1, image.out[0], image.out[1], 1}), std::nullopt);
  const ValueId averages = op.step_on("averages", OpCode::kMul, {sums, factors}, shape, std::nullopt);
  return op.is_quantized() ? op.step("quantized", OpCode::kQuantize, {averages}, shape) : averages;
}

}  // namespace

void lower_max_pool(OperatorLowering& op) {
  Window window = pool_window(op);
  const PoolImage image = pool_image(op);
  if (window.dilation != std::array<int64_t, 2>{1, 1}) {
    give_pooled(op, image, dilated_maximum(op, image, window));
    return;
  }
  Options options = pool_options(window);
  ValueId tensor = image.tensor;
  if (!op.options().is_plain() && is_same_padding(window, image.in, image.out)) {
    options.padding = tflite::Padding::kSame;
  } else {
    const auto rest = overhang(window, image);
    for (size_t d = 0; d < 2; ++d) window.after[d] += rest[d];
    tensor = padded_image(op, tensor, window, Fill::kLowest);
  }
  emit_pool(op, OpCode::kMaxPool2d, image, tensor, options);
}

void lower_average_pool(OperatorLowering& op) {
  const Window window = pool_window(op);
  const PoolImage image = pool_image(op);
  Options options = pool_options(window);
  if (!op.is_none("divisor_override")) op.refuse("a divisor of its own", "divide by the window's size");
  // SAME divides by what of the window lies in the image.
  const bool counts_padding = op.is_none("count_include_pad") || op.flag("count_include_pad");
  const auto rest = overhang(window, image);
  const bool divides_by_part = rest[0] + rest[1] > 0 || (window.is_padded() && !counts_padding);
  ValueId tensor = image.tensor;
  if (divides_by_part) {
    if (!is_same_padding(window, image.in, image.out) || (window.is_padded() && counts_padding)) {
      give_pooled(op, image, average_of_parts(op, image, window, counts_padding));
      return;
    }
    options.padding = tflite::Padding::kSame;
  } else {
    tensor = padded_image(op, tensor, window, Fill::kZero);
  }
  emit_pool(op, OpCode::kAveragePool2d, image, tensor, options);
}

void lower_adaptive_average_pool(OperatorLowering& op) {
  const PoolImage image = pool_image(op);
  if (image.out == std::array<int64_t, 2>{1, 1} && image.is_native) {
    Options keep;
    keep.keep_dims = true;
    op.emit(OpCode::kMean,
            {image.tensor,
             op.indices("axes", op.options().is_plain() ? std::vector<int64_t>{2, 1} : std::vector<int64_t>{1, 2})},
            keep);
    return;
  }
  if (image.in[0] % image.out[0] == 0 && image.in[1] % image.out[1] == 0) {
    Window window;
    for (size_t d = 0; d < 2; ++d) {
      window.stride[d] = image.in[d] / image.out[d];
      window.kernel[d] = image.in[d] - (image.out[d] - 1) * window.stride[d];
    }
    emit_pool(op, OpCode::kAveragePool2d, image, image.tensor, pool_options(window));
    return;
  }
  // Windows of different sizes: each mean by itself.
  constexpr int64_t kMostWindows = 256;
  if (!image.is_native || image.out[0] * image.out[1] > kMostWindows) {
    op.refuse("an average over windows of different sizes", "an output size that divides the input's");
  }
  const std::vector<int64_t> shape = op.shape_of(image.tensor);
  const auto bounds = [&](size_t d, int64_t i) {
    return std::pair(i * image.in[d] / image.out[d], ((i + 1) * image.in[d] + image.out[d] - 1) / image.out[d]);
  };
  Options keep, by_row, by_column;
  keep.keep_dims = true;
  by_row.axis = 1;
  by_column.axis = 2;
  std::vector<ValueId> rows;
  for (int64_t y = 0; y < image.out[0]; ++y) {
    std::vector<ValueId> cells;
    for (int64_t x = 0; x < image.out[1]; ++x) {
      const auto [top, bottom] = bounds(0, y);
      const auto [left, right] = bounds(1, x);
      const std::string name = octet::str("window_", y, "_", x);
      const std::vector<int64_t> size = {shape[0], bottom - top, right - left, shape[3]};
      const ValueId part = op.step(
          name, OpCode::kSlice,
          {image.tensor, op.indices(name + "_begin", {0, top, left, 0}), op.indices(name + "_size", size)}, size);
      cells.push_back(op.step(name + "_mean", OpCode::kMean, {part, op.indices(name + "_axes", {1, 2})},
                              {shape[0], 1, 1, shape[3]}, keep));
    }
    rows.push_back(op.step(octet::str("row_", y), OpCode::kConcatenation, cells, {shape[0], 1, image.out[1], shape[3]},
                           by_column));
  }
  op.emit(OpCode::kConcatenation, rows, by_row);
}

namespace {

void emit_resize(OperatorLowering& op, OpCode code, const Options& options) {
  const std::vector<int64_t>& out = op.node().sizes();
  op.emit(code, {op.input("input", true), op.indices("size", {out[2], out[3]})}, options);
}

}  // namespace

void lower_resize_bilinear(OperatorLowering& op) {
  if (!resizes_by_sizes(op.node())) {
    op.refuse("a bilinear resize by a scale that is not the ratio of its sizes",
              "interpolate(size=...), or recompute_scale_factor=True");
  }
  Options options;
  options.align_corners = op.flag("align_corners");
  options.half_pixel_centers = !options.align_corners;
  emit_resize(op, OpCode::kResizeBilinear, options);
}

void lower_resize_nearest(OperatorLowering& op) {
  if (resizes_by_sizes(op.node())) return emit_resize(op, OpCode::kResizeNearestNeighbor, {});
  lower_resize_by_places(op);
}

// Row by row, then column by column, what PyTorch reads.
void lower_resize_by_places(OperatorLowering& op) {
  const auto [rows, columns] = nearest_places(op.node());
  const ValueId image = op.input("input", true);
  std::vector<int64_t> shape = op.shape_of(image);
  shape[1] = static_cast<int64_t>(rows.size());
  Options by_row, by_column;
  by_row.axis = 1;
  by_column.axis = 2;
  const ValueId tall = op.step("tall", OpCode::kGather, {image, op.indices("rows", rows)}, shape, by_row);
  op.emit(OpCode::kGather, {tall, op.indices("columns", columns)}, by_column);
}

}  // namespace octet::lowering
