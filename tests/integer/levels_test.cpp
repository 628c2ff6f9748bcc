// Levels of other types than int8: QUANTIZE and DEQUANTIZE between them, and what refuses them.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/integer/grid.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using tflite::OpCode;
using tflite::Type;

struct Levels {
  Type type;
  float scale;
  int64_t zero_point;
};

tflite::Tensor tensor(const std::string& name, std::vector<int64_t> shape, const Levels& levels) {
  tflite::Tensor made;
  made.name = name;
  made.type = levels.type;
  made.shape = std::move(shape);
  if (levels.type != Type::kFloat32) made.quantization = {{levels.scale}, {levels.zero_point}, 0};
  return made;
}

tflite::Model program(OpCode code, std::vector<tflite::Tensor> inputs, const tflite::Tensor& output) {
  tflite::Model model;
  tflite::Operator op;
  op.code = code;
  for (size_t i = 0; i < inputs.size(); ++i) {
    model.inputs.push_back(static_cast<int32_t>(i));
    op.inputs.push_back(static_cast<int32_t>(i));
  }
  op.outputs = model.outputs = {static_cast<int32_t>(inputs.size())};
  model.tensors = std::move(inputs);
  model.tensors.push_back(output);
  model.operators = {op};
  return model;
}

const Levels kFloat = {Type::kFloat32, 0, 0};
const std::vector<Levels> kKinds = {{Type::kInt8, 0.5F, 3}, {Type::kUInt8, 0.25F, 120}, {Type::kInt16, 0.01F, 0}};

// Values that are far from the middle between two levels of any of the grids, and some beyond them.
at::Tensor values() { return at::tensor({-1e4F, -40.0F, -2.1F, 0.0F, 1.06F, 7.3F, 63.0F, 1e4F}); }

at::Tensor wanted_levels(const at::Tensor& reals, const Levels& levels) {
  const tflite::LevelRange range = *tflite::level_range(levels.type);
  return (reals.to(at::kDouble) / static_cast<double>(levels.scale))
      .round()
      .add(levels.zero_point)
      .clamp(range.low, range.high)
      .to(integer::scalar_type(levels.type));
}

TEST(Levels, AreQuantizedAndDequantized) {
  for (const Levels& levels : kKinds) {
    SCOPED_TRACE(tflite::type_name(levels.type));
    const auto shape = values().sizes().vec();
    const integer::Executor quantize(
        program(OpCode::kQuantize, {tensor("x", shape, kFloat)}, tensor("y", shape, levels)));
    const at::Tensor got = quantize.run({values()}).at(0);
    EXPECT_TRUE(at::equal(got, wanted_levels(values(), levels))) << got;
    const integer::Executor back(
        program(OpCode::kDequantize, {tensor("x", shape, levels)}, tensor("y", shape, kFloat)));
    const at::Tensor reals = back.run({got}).at(0);
    EXPECT_TRUE(at::equal(reals, (got.to(at::kFloat) - levels.zero_point) * levels.scale));
    EXPECT_TRUE(at::equal(reals, quantize.run_dequantized({values()}).at(0)));
    EXPECT_TRUE(at::equal(reals, back.run({values()}).at(0))) << "float values are quantized on the way in";
  }
}

TEST(Levels, AreRescaledFromAnyTypeToAnyOther) {
  for (const Levels& from : kKinds) {
    for (const Levels& to : kKinds) {
      SCOPED_TRACE(octet::str(tflite::type_name(from.type), " to ", tflite::type_name(to.type)));
      const auto shape = values().sizes().vec();
      const at::Tensor given = wanted_levels(values(), from);
      const at::Tensor reals = (given.to(at::kDouble) - from.zero_point) * static_cast<double>(from.scale);
      const at::Tensor got =
          integer::Executor(program(OpCode::kQuantize, {tensor("x", shape, from)}, tensor("y", shape, to)))
              .run({given})
              .at(0);
      const at::Tensor apart = (got.to(at::kInt) - wanted_levels(reals, to).to(at::kInt)).abs();
      EXPECT_LE(apart.max().item<int>(), 1) << got << wanted_levels(reals, to);  // halves, which reals may be
    }
  }
}

TEST(Levels, KeepTheirGridWhereTheyAreMoved) {
  const Levels here = {Type::kUInt8, 0.5F, 7}, there = {Type::kUInt8, 0.25F, 7};
  EXPECT_NO_THROW(integer::Executor(program(OpCode::kReshape, {tensor("x", {6}, here)}, tensor("y", {6}, here))));
  EXPECT_THROW(integer::Executor(program(OpCode::kReshape, {tensor("x", {6}, here)}, tensor("y", {6}, there))), Error);
}

TEST(Levels, AreRefusedByKernelsOfInt8) {
  for (const OpCode code : {OpCode::kAdd, OpCode::kMul, OpCode::kMaximum}) {
    const Levels levels = {Type::kUInt8, 0.5F, 128};
    try {
      const integer::Executor executor(
          program(code, {tensor("a", {4}, levels), tensor("b", {4}, levels)}, tensor("y", {4}, levels)));
      FAIL() << tflite::op_name(code) << " has no kernel of uint8";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("expected int8, got uint8"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(tflite::op_name(code) + " 'y'"), std::string::npos) << error.what();
    }
  }
}

TEST(Levels, ZeroPointsLieWithinTheType) {
  for (const auto& [type, zero_point] :
       {std::pair(Type::kUInt8, -1), std::pair(Type::kInt8, 128), std::pair(Type::kInt16, 32768)}) {
    const Levels levels = {type, 0.5F, zero_point};
    EXPECT_THROW(integer::Executor(program(OpCode::kDequantize, {tensor("x", {4}, levels)}, tensor("y", {4}, kFloat))),
                 Error);
  }
  EXPECT_EQ(integer::grid_of(tensor("x", {4}, kKinds[1])), integer::Grid::of_type(Type::kUInt8, 0.25F, 120));
  EXPECT_FALSE(integer::grid_of(tensor("x", {4}, kFloat)));
}

}  // namespace
}  // namespace octet
