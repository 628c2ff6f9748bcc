// A PAD that the window behind it takes over: the same values, or none of it.

#include "octet/integer/steps.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>

#include "octet/integer/executor.h"
#include "octet/support/error.h"
#include "tests/integer/programs.h"

namespace octet {
namespace {

using test::integers;
using tflite::OpCode;

constexpr int64_t kZeroPoint = -7;

struct Sides {
  int64_t top, bottom, left, right;
};

tflite::Quantization image_grid(float scale, int64_t zero_point) { return {{scale}, {zero_point}, 0}; }

at::Tensor padded(const at::Tensor& x, const Sides& by, int64_t value) {
  return at::constant_pad_nd(x, {0, 0, by.left, by.right, by.top, by.bottom}, value);
}

at::Tensor some_levels(std::vector<int64_t> shape) {
  return at::randint(-128, 128, shape, at::TensorOptions(at::kChar));
}

// A window over an image, without padding of its own.
tflite::Model windows(const at::Tensor& image, int64_t channels, bool depthwise, int32_t stride) {
  test::Program program(depthwise ? OpCode::kDepthwiseConv2d : OpCode::kConv2d);
  program.input(image, image_grid(0.05F, kZeroPoint));
  program.constant(depthwise ? some_levels({1, 3, 3, image.size(3)}) : some_levels({channels, 3, 3, image.size(3)}),
                   image_grid(0.01F, 0));
  const auto out = [&](int64_t d) { return (image.size(d) - 3) / stride + 1; };
  program.output({image.size(0), out(1), out(2), depthwise ? image.size(3) : channels}, tflite::Type::kInt8,
                 image_grid(0.3F, 4));
  program.options().padding = tflite::Padding::kValid;
  program.options().stride_h = program.options().stride_w = stride;
  program.options().depth_multiplier = 1;
  return program.model();
}

// PAD, or PADV2 with that value, in front of the program's first operator.
tflite::Model behind_pad(tflite::Model model, const at::Tensor& image, const Sides& by,
                         std::optional<int8_t> value = std::nullopt) {
  const auto add = [&](tflite::Tensor tensor) {
    model.tensors.push_back(std::move(tensor));
    return static_cast<int32_t>(model.tensors.size() - 1);
  };
  const int32_t from =
      add({"image", tflite::Type::kInt8, image.sizes().vec(), image_grid(0.05F, kZeroPoint), false, {}});
  std::vector<uint8_t> bytes(8 * sizeof(int32_t), 0);
  const int32_t sides[8] = {0,
                            0,
                            static_cast<int32_t>(by.top),
                            static_cast<int32_t>(by.bottom),
                            static_cast<int32_t>(by.left),
                            static_cast<int32_t>(by.right),
                            0,
                            0};
  std::memcpy(bytes.data(), sides, sizeof(sides));
  const int32_t table = add({"sides", tflite::Type::kInt32, {4, 2}, {}, true, bytes});
  tflite::Operator pad;
  pad.code = value ? OpCode::kPadV2 : OpCode::kPad;
  pad.inputs = {from, table};
  if (value) {
    pad.inputs.push_back(
        add({"value", tflite::Type::kInt8, {1}, image_grid(0.05F, kZeroPoint), true, {static_cast<uint8_t>(*value)}}));
  }
  pad.outputs = {model.inputs[0]};
  model.inputs = {from};
  model.operators.insert(model.operators.begin(), pad);
  return model;
}

TEST(Steps, WindowsFrameTheirImageAsPadDoes) {
  std::mt19937 generator(3);
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator() % static_cast<uint64_t>(high - low + 1));
  };
  for (int round = 0; round < 60; ++round) {
    const Sides by = {between(0, 3), between(0, 3), between(0, 3), between(0, 3)};
    const int64_t channels = round % 3 == 0 ? 32 : between(1, 40);
    const at::Tensor image = some_levels({between(1, 2), between(3, 20), between(3, 20), channels});
    const at::Tensor whole = padded(image, by, kZeroPoint);
    const tflite::Model alone = windows(whole, 16 * between(1, 3), round % 2 == 0, static_cast<int32_t>(between(1, 2)));
    const auto value = round % 4 == 0 ? std::optional<int8_t>(kZeroPoint) : std::nullopt;
    const tflite::Model both = behind_pad(alone, image, by, value);
    ASSERT_EQ(integer::steps_of(both).size(), 1u);
    for (const integer::Path path : integer::available_paths()) {
      const at::Tensor wanted = integer::Executor(alone, {.path = path}).run({whole}).at(0);
      const at::Tensor got = integer::Executor(both, {.path = path}).run({image}).at(0);
      ASSERT_TRUE(at::equal(got, wanted)) << path_name(path) << ", round " << round;
    }
  }
}

TEST(Steps, APadThatOthersReadStays) {
  const at::Tensor image = some_levels({1, 6, 5, 4});
  const Sides by = {1, 1, 1, 1};
  const at::Tensor whole = padded(image, by, kZeroPoint);
  const tflite::Model alone = windows(whole, 3, false, 1);
  tflite::Model model = behind_pad(alone, image, by);
  model.outputs.push_back(model.operators[0].outputs[0]);
  const std::vector<at::Tensor> results = integer::Executor(model).run({image});
  EXPECT_TRUE(at::equal(results.at(0), integer::Executor(alone).run({whole}).at(0)));
  EXPECT_TRUE(at::equal(results.at(1), whole));

  tflite::Model read_twice = behind_pad(alone, image, by);
  tflite::Operator relu;
  relu.code = OpCode::kRelu;
  relu.inputs = {read_twice.operators[0].outputs[0]};
  read_twice.tensors.push_back(
      {"relu", tflite::Type::kInt8, whole.sizes().vec(), image_grid(0.05F, kZeroPoint), false, {}});
  relu.outputs = {static_cast<int32_t>(read_twice.tensors.size() - 1)};
  read_twice.operators.push_back(relu);
  read_twice.outputs.push_back(relu.outputs[0]);
  EXPECT_EQ(integer::steps_of(read_twice).size(), 3u);
  EXPECT_TRUE(at::equal(integer::Executor(read_twice).run({image}).at(1), whole.clamp_min(kZeroPoint)));
}

TEST(Steps, AnotherValueThanTheZeroPointStays) {
  const at::Tensor image = some_levels({1, 6, 5, 4});
  const Sides by = {2, 0, 1, 1};
  const at::Tensor whole = padded(image, by, 100);
  const tflite::Model alone = windows(whole, 3, false, 1);
  const tflite::Model both = behind_pad(alone, image, by, int8_t{100});
  EXPECT_EQ(integer::steps_of(both).size(), 2u);
  EXPECT_TRUE(at::equal(integer::Executor(both).run({image}).at(0), integer::Executor(alone).run({whole}).at(0)));
}

TEST(Steps, SidesBeyondInt32AreNoFrame) {
  const at::Tensor image = some_levels({1, 6, 5, 4});
  tflite::Model model = behind_pad(windows(image, 3, false, 1), image, {0, 0, 0, 0});
  const std::vector<int32_t> sides = {INT32_MAX, INT32_MAX, 0, 0, 0, 0, 0, 0};
  std::memcpy(model.tensors.back().data.data(), sides.data(), sides.size() * sizeof(int32_t));
  EXPECT_EQ(integer::steps_of(model).size(), 2u);
  EXPECT_THROW(integer::Executor{model}, Error);
}

}  // namespace
}  // namespace octet
