// What reads an image at computed places between its pixels, in float.

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <array>

#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Type;

namespace {

using Sizes = std::vector<int64_t>;

// Floats of the grid's shape, a step each; numbers are constants.
class GridArithmetic {
 public:
  GridArithmetic(OperatorLowering& op, Sizes shape) : op_(op), shape_(std::move(shape)) {}

  ValueId number(double value) {
    return op_.plain_constant(octet::str("number_", ++count_), at::scalar_tensor(value, at::kFloat));
  }
  ValueId two(OpCode code, ValueId a, ValueId b) { return step(code, {a, b}, Type::kFloat32); }
  ValueId one(OpCode code, ValueId x) { return step(code, {x}, Type::kFloat32); }
  // 1 where they are equal, else 0.
  ValueId are_equal(ValueId a, ValueId b) {
    return op_.cast(octet::str("step_", ++count_), step(OpCode::kEqual, {a, b}, Type::kBool), Type::kFloat32);
  }
  ValueId within(ValueId x, int64_t size) {
    const ValueId above = two(OpCode::kMaximum, x, number(0.0));
    return two(OpCode::kMinimum, above, number(static_cast<double>(size - 1)));
  }

 private:
  ValueId step(OpCode code, std::vector<ValueId> inputs, Type type) {
    return op_.step_of(octet::str("step_", ++count_), code, std::move(inputs), shape_, type);
  }

  OperatorLowering& op_;
  Sizes shape_;
  int64_t count_ = 0;
};

// The grid's numbers for one of the image's dimensions, -1 to 1, as places among its pixels.
ValueId places_along(GridArithmetic& grid, ValueId numbers, int64_t size, bool aligned) {
  const ValueId from_zero = grid.two(OpCode::kAdd, numbers, grid.number(1.0));
  const double reach = static_cast<double>(aligned ? size - 1 : size) / 2.0;
  const ValueId scaled = grid.two(OpCode::kMul, from_zero, grid.number(reach));
  return aligned ? scaled : grid.two(OpCode::kSub, scaled, grid.number(0.5));
}

}  // namespace

void lower_grid_sampler(OperatorLowering& op) {
  constexpr int64_t kBilinear = 0, kZeros = 0, kBorder = 1;
  constexpr int64_t kMostPlaces = int64_t{1} << 24;  // that a float32 tells apart
  const Sizes image = op.sizes("input"), out = op.node().sizes();
  if (image.size() != 4) op.refuse("samples of a volume");
  if (op.integer("interpolation_mode", kBilinear) != kBilinear) op.refuse("samples of another mode than bilinear");
  const int64_t padding = op.integer("padding_mode", kZeros);
  if (padding != kZeros && padding != kBorder) op.refuse("padding by reflection", "padding_mode zeros or border");
  const int64_t count = image[0], channels = image[1], height = image[2], width = image[3];
  if (count * height * width > kMostPlaces) op.refuse("samples of an image of more than 16 million pixels");
  const Sizes places = {count, out[2], out[3]};
  const ValueId pixels = op.reshaped("pixels", op.input("input", true), {count * height * width, channels});
  const ValueId both = op.input("grid", false);
  const bool aligned = op.flag("align_corners");
  GridArithmetic grid(op, places);
  std::array<ValueId, 2> at{}, low{}, share{};  // along width and height
  for (size_t d = 0; d < 2; ++d) {
    const std::string name = d == 0 ? "x" : "y";
    const Sizes one = {count, out[2], out[3], 1};
    const ValueId part = op.step(
        name, OpCode::kSlice,
        {both, op.indices(name + "_begin", {0, 0, 0, static_cast<int64_t>(d)}), op.indices(name + "_size", one)}, one);
    const int64_t size = d == 0 ? width : height;
    at[d] = places_along(grid, op.reshaped(name + "_plane", part, places), size, aligned);
    if (padding == kBorder) at[d] = grid.within(at[d], size);
    low[d] = grid.one(OpCode::kFloor, at[d]);
    share[d] = grid.two(OpCode::kSub, at[d], low[d]);
  }
  ValueId sum = kNoValue;
  for (size_t corner = 0; corner < 4; ++corner) {
    const std::string name = octet::str("corner_", corner);
    std::array<ValueId, 2> place{};
    ValueId weight = kNoValue;
    for (size_t d = 0; d < 2; ++d) {
      const int64_t size = d == 0 ? width : height;
      const bool is_far = d == 0 ? corner % 2 == 1 : corner / 2 == 1;
      const ValueId exact = is_far ? grid.two(OpCode::kAdd, low[d], grid.number(1.0)) : low[d];
      place[d] = grid.within(exact, size);
      ValueId part = is_far ? share[d] : grid.two(OpCode::kSub, grid.number(1.0), share[d]);
      if (padding == kZeros) part = grid.two(OpCode::kMul, part, grid.are_equal(exact, place[d]));
      weight = weight == kNoValue ? part : grid.two(OpCode::kMul, weight, part);
    }
    const ValueId row = grid.two(OpCode::kMul, place[1], grid.number(static_cast<double>(width)));
    ValueId index = grid.two(OpCode::kAdd, row, place[0]);
    if (count > 1) {
      const at::Tensor first = at::arange(count, at::kFloat).mul(static_cast<double>(height * width));
      index = grid.two(OpCode::kAdd, index, op.plain_constant(name + "_image", first.reshape({count, 1, 1})));
    }
    Sizes result = places;
    result.push_back(channels);
    const ValueId values =
        op.step(name + "_pixels", OpCode::kGather, {pixels, op.cast(name + "_index", index, Type::kInt32)}, result);
    const ValueId weights = op.reshaped(name + "_weights", weight, {count, out[2], out[3], 1});
    const ValueId part = op.step(name + "_part", OpCode::kMul, {values, weights}, result);
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
