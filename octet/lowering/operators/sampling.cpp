// What reads an image at computed places between its pixels, in float.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <array>

#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/float_steps.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Type;

namespace {

using Sizes = std::vector<int64_t>;

ValueId within(FloatSteps& grid, ValueId x, int64_t size) {
  const ValueId above = grid.two(OpCode::kMaximum, x, 0.0);
  return grid.two(OpCode::kMinimum, above, static_cast<double>(size - 1));
}

// The grid's numbers for one of the image's dimensions, -1 to 1, as places among its pixels.
ValueId places_along(FloatSteps& grid, ValueId numbers, int64_t size, bool aligned) {
  const ValueId from_zero = grid.two(OpCode::kAdd, numbers, 1.0);
  const double reach = static_cast<double>(aligned ? size - 1 : size) / 2.0;
  const ValueId scaled = grid.two(OpCode::kMul, from_zero, reach);
  return aligned ? scaled : grid.two(OpCode::kSub, scaled, 0.5);
}

// x - 2 floor(x / 2): 1 for odd whole numbers, 0 for even ones.
ValueId oddness(FloatSteps& grid, ValueId x) {
  const ValueId pairs = grid.one(OpCode::kFloor, grid.two(OpCode::kMul, x, 0.5));
  return grid.two(OpCode::kSub, x, grid.two(OpCode::kMul, pairs, 2.0));
}

// The nearest whole number; of two the even one. LiteRT's reference kernels lack ROUND.
ValueId nearest(FloatSteps& grid, ValueId x) {
  const ValueId up = grid.one(OpCode::kFloor, grid.two(OpCode::kAdd, x, 0.5));
  const ValueId is_tie = grid.are_equal(grid.two(OpCode::kSub, up, x), grid.number(0.5));
  return grid.two(OpCode::kSub, up, grid.two(OpCode::kMul, is_tie, oddness(grid, up)));
}

// Places beyond the image folded back at its border: the middle of the outermost pixels, or their edge.
ValueId reflected(FloatSteps& grid, ValueId x, int64_t size, bool aligned) {
  const double first = aligned ? 0.0 : -0.5;
  const auto span = static_cast<double>(aligned ? size - 1 : size);
  if (span == 0.0) return grid.two(OpCode::kMul, x, 0.0);
  const ValueId from_first = grid.one(OpCode::kAbs, grid.two(OpCode::kSub, x, first));
  const ValueId flips = grid.one(OpCode::kFloor, grid.two(OpCode::kDiv, from_first, span));
  const ValueId rest = grid.two(OpCode::kSub, from_first, grid.two(OpCode::kMul, flips, span));
  const ValueId back = grid.two(OpCode::kSub, span, grid.two(OpCode::kMul, rest, 2.0));
  const ValueId folded = grid.two(OpCode::kAdd, rest, grid.two(OpCode::kMul, oddness(grid, flips), back));
  return within(grid, grid.two(OpCode::kAdd, folded, first), size);
}

}  // namespace

void lower_grid_sampler(OperatorLowering& op) {
  constexpr int64_t kBilinear = 0, kNearest = 1, kZeros = 0, kBorder = 1, kReflection = 2;
  constexpr int64_t kMostPlaces = int64_t{1} << 24;  // that a float32 tells apart
  const Sizes image = op.sizes("input"), out = op.node().sizes();
  if (image.size() != 4) op.refuse("samples of a volume");
  const int64_t mode = op.integer("interpolation_mode", kBilinear);
  if (mode != kBilinear && mode != kNearest) op.refuse("bicubic samples", "mode bilinear or nearest");
  const int64_t padding = op.integer("padding_mode", kZeros);
  const int64_t count = image[0], channels = image[1], height = image[2], width = image[3];
  if (count * height * width > kMostPlaces) op.refuse("samples of an image of more than 16 million pixels");
  const Sizes places = {count, out[2], out[3]};
  const ValueId pixels = op.reshaped("pixels", op.input("input", true), {count * height * width, channels});
  const ValueId both = op.input("grid", false);
  const bool aligned = op.flag("align_corners");
  FloatSteps grid(op, places);
  std::array<ValueId, 2> at{}, low{}, share{};  // along width and height
  for (size_t d = 0; d < 2; ++d) {
    const std::string name = d == 0 ? "x" : "y";
    const Sizes one = {count, out[2], out[3], 1};
    const ValueId part = op.step(
        name, OpCode::kSlice,
        {both, op.indices(name + "_begin", {0, 0, 0, static_cast<int64_t>(d)}), op.indices(name + "_size", one)}, one);
    const int64_t size = d == 0 ? width : height;
    at[d] = places_along(grid, op.reshaped(name + "_plane", part, places), size, aligned);
    if (padding == kBorder) at[d] = within(grid, at[d], size);
    if (padding == kReflection) at[d] = reflected(grid, at[d], size, aligned);
    low[d] = mode == kNearest ? nearest(grid, at[d]) : grid.one(OpCode::kFloor, at[d]);
    if (mode == kBilinear) share[d] = grid.two(OpCode::kSub, at[d], low[d]);
  }
  ValueId sum = kNoValue;
  const size_t corners = mode == kNearest ? 1 : 4;
  for (size_t corner = 0; corner < corners; ++corner) {
    const std::string name = octet::str("corner_", corner);
    std::array<ValueId, 2> place{};
    ValueId weight = kNoValue;
    const auto weigh = [&](ValueId part) { weight = weight == kNoValue ? part : grid.two(OpCode::kMul, weight, part); };
    for (size_t d = 0; d < 2; ++d) {
      const int64_t size = d == 0 ? width : height;
      const bool is_far = d == 0 ? corner % 2 == 1 : corner / 2 == 1;
      const ValueId exact = is_far ? grid.two(OpCode::kAdd, low[d], 1.0) : low[d];
      place[d] = within(grid, exact, size);
      if (mode == kBilinear) weigh(is_far ? share[d] : grid.two(OpCode::kSub, 1.0, share[d]));
      if (padding == kZeros) weigh(grid.are_equal(exact, place[d]));
    }
    const ValueId row = grid.two(OpCode::kMul, place[1], static_cast<double>(width));
    ValueId index = grid.two(OpCode::kAdd, row, place[0]);
    if (count > 1) {
      const at::Tensor first = at::arange(count, at::kFloat).mul(static_cast<double>(height * width));
      index = grid.two(OpCode::kAdd, index, op.plain_constant(name + "_image", first.reshape({count, 1, 1})));
    }
    Sizes result = places;
    result.push_back(channels);
    const ValueId values =
        op.step(name + "_pixels", OpCode::kGather, {pixels, op.cast(name + "_index", index, Type::kInt32)}, result);
    ValueId part = values;
    if (weight != kNoValue) {
      const ValueId weights = op.reshaped(name + "_weights", weight, {count, out[2], out[3], 1});
      part = op.step(name + "_part", OpCode::kMul, {values, weights}, result);
    }
    sum = sum == kNoValue ? part : op.step(name + "_sum", OpCode::kAdd, {sum, part}, result);
  }
  op.alias(sum);
}

// Each pixel's place, with a 1 behind, times the matrix of each sample.
void lower_affine_grid(OperatorLowering& op) {
  const Sizes out = op.node().sizes();  // [N, H, W, 2]
  if (out.size() != 4) op.refuse("a grid of a volume");
  const int64_t height = out[1], width = out[2];
  const auto line = [&](int64_t size) {
    if (size == 1) return at::zeros({1}, at::kFloat);
    const at::Tensor from_end_to_end = at::linspace(-1.0, 1.0, size, at::kFloat);
    return op.flag("align_corners") ? from_end_to_end
                                    : from_end_to_end * (static_cast<double>(size - 1) / static_cast<double>(size));
  };
  const at::Tensor columns = line(width).reshape({1, width}).expand({height, width});
  const at::Tensor rows = line(height).reshape({height, 1}).expand({height, width});
  const at::Tensor base = at::stack({columns, rows, at::ones({height, width})}, -1).reshape({1, height * width, 3});
  const ValueId places = op.plain_constant("places", base.expand({out[0], height * width, 3}).contiguous());
  Options options;
  options.adj_y = true;
  const Sizes flat = {out[0], height * width, 2};
  const ValueId grid = op.step("grid", OpCode::kBatchMatmul, {places, op.input("theta", false)}, flat, options);
  give_as_given(op, op.reshaped("plane", grid, out));
}

}  // namespace octet::lowering
