#include "octet/lowering/operators/window.h"

#include <limits>

#include "octet/formats/tflite_padding.h"
#include "octet/integer/executor.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

bool is_same_padding(const Window& window, const std::array<int64_t, 2>& in, const std::array<int64_t, 2>& out) {
  for (size_t d = 0; d < 2; ++d) {
    const int64_t reach = tflite::window_reach(window.kernel[d], window.dilation[d]);
    if (out[d] != tflite::same_places(in[d], window.stride[d]) ||
        tflite::same_padding(in[d], out[d], reach, window.stride[d]).before != window.before[d]) {
      return false;
    }
  }
  return true;
}

Options window_options(const Window& window) {
  Options options;
  options.stride_h = static_cast<int32_t>(window.stride[0]);
  options.stride_w = static_cast<int32_t>(window.stride[1]);
  options.dilation_h = static_cast<int32_t>(window.dilation[0]);
  options.dilation_w = static_cast<int32_t>(window.dilation[1]);
  options.filter_h = static_cast<int32_t>(window.kernel[0]);
  options.filter_w = static_cast<int32_t>(window.kernel[1]);
  return options;
}

ValueId padded_image(OperatorLowering& op, ValueId image, const Window& window, Fill fill) {
  if (!window.is_padded()) return image;
  std::vector<int64_t> shape = op.shape_of(image);
  shape[1] += window.before[0] + window.after[0];
  shape[2] += window.before[1] + window.after[1];
  const ValueId paddings = op.indices(
      "paddings", {0, 0, window.before[0], window.after[0], window.before[1], window.after[1], 0, 0}, {4, 2});
  const std::optional<Grid> grid = op.grid_of(image);
  if (fill == Fill::kZero && !op.options().is_plain()) {
    return op.step_on("padded", OpCode::kPad, {image, paddings}, shape, grid);
  }
  Constant value;
  // The reference's paddings of pools are vectors, those of convolutions are not.
  const std::vector<int64_t> one = fill == Fill::kZero ? std::vector<int64_t>{} : std::vector<int64_t>{1};
  if (grid) {
    const int64_t level = fill == Fill::kZero ? grid->zero_point : grid->range.low;
    value = {at::full(one, level, integer::scalar_type(grid->type)), grid->quantization()};
  } else {
    const float level = fill == Fill::kZero ? 0.0F : std::numeric_limits<float>::lowest();
    value = {at::full(one, level, at::kFloat), {}};
  }
  return op.step_on("padded", OpCode::kPadV2, {image, paddings, op.constant_tensor("padding", value)}, shape, grid);
}

}  // namespace octet::lowering
