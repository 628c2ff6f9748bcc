#include <ATen/Functions.h>

#include <algorithm>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

struct Range {
  at::ScalarType dtype;
  int64_t low;
  int64_t high;
};

constexpr Range kRanges[] = {
    {at::kByte, 0, 255},
    {at::kChar, -128, 127},
    {at::kShort, -32768, 32767},
    {at::kUInt16, 0, 65535},
    {at::kInt, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()},
};

const Range& range_of(const Step& step, at::ScalarType dtype) {
  const auto* found =
      std::find_if(std::begin(kRanges), std::end(kRanges), [&](const Range& range) { return range.dtype == dtype; });
  if (found == std::end(kRanges)) step.refuse("type", "int8, uint8, int16, uint16 or int32", dtype_name(dtype));
  return *found;
}

/// The grid of a QuantizeLinear or DequantizeLinear: one, or one for each place of a dimension.
struct Grid {
  bool by_channel = false;
  double scale = 1.0;
  int64_t zero_point = 0;
  int64_t axis = 0;
  Value scales;
  Value zero_points;
};

Grid read_grid(Step& step) {
  Grid grid;
  if (step.integer("block_size", 0) != 0)
    step.refuse("block_size", "0: a grid for a tensor or a channel", str(step.integer("block_size", 0)));
  const at::Tensor scales = step.known(1, "scale").to(at::kFloat);
  const at::Tensor zeros = step.has(2) ? step.known(2, "zero point").to(at::kLong) : at::zeros_like(scales, at::kLong);
  if (!at::isfinite(scales).all().item<bool>() || !scales.gt(0).all().item<bool>())
    step.refuse("scale", "numbers above 0", "others");
  if (scales.numel() == 1 && zeros.numel() == 1) {
    grid.scale = scales.item<float>();
    grid.zero_point = zeros.item<int64_t>();
    return grid;
  }
  if (scales.dim() > 1 || zeros.sizes() != scales.sizes()) {
    step.refuse("scale and zero point", "one number, or a list for each",
                str(sizes_text(scales.sizes().vec()), " and ", sizes_text(zeros.sizes().vec())));
  }
  grid.by_channel = true;
  grid.axis = step.axis(step.integer("axis", 1), step.rank(0));
  if (step.sizes(0)[static_cast<size_t>(grid.axis)] != scales.numel())
    step.refuse("scale", str(step.sizes(0)[static_cast<size_t>(grid.axis)], " numbers"), str(scales.numel()));
  grid.scales = step.constant(scales, step.in(1).name);
  grid.zero_points = step.constant(zeros, step.has(2) ? step.in(2).name : step.in(1).name + "_zero_point");
  return grid;
}

std::vector<Operand> operands_of(const Value& x, const Grid& grid, const Range& range) {
  if (grid.by_channel) return {x, grid.scales, grid.zero_points, grid.axis, range.low, range.high, range.dtype};
  return {x, grid.scale, grid.zero_point, range.low, range.high, range.dtype};
}

}  // namespace

void build_quantize_linear(Step& step) {
  const Grid grid = read_grid(step);
  at::ScalarType dtype = at::kByte;
  if (step.has(2)) dtype = step.dtype(2);
  if (!step.has(2) && step.integer("output_dtype", 0) != 0)
    dtype = dtype_of(step.integer("output_dtype", 0), step.where());
  const Range& range = range_of(step, dtype);
  step.give(step.call(grid.by_channel ? "quantized_decomposed.quantize_per_channel.default"
                                      : "quantized_decomposed.quantize_per_tensor.default",
                      operands_of(step.in(0), grid, range)));
}

void build_dequantize_linear(Step& step) {
  const Grid grid = read_grid(step);
  const Range& range = range_of(step, step.dtype(0));
  step.give(step.call_unfolded(grid.by_channel ? "quantized_decomposed.dequantize_per_channel.default"
                                               : "quantized_decomposed.dequantize_per_tensor.default",
                               operands_of(step.in(0), grid, range)));
}

}  // namespace octet::onnx
