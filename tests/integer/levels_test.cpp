// Levels of other types than int8: QUANTIZE and DEQUANTIZE between them, and what refuses them.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <map>

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

// What LiteRT's reference kernel gives, halves among it; it has all pairs but one.
TEST(Levels, AreRescaledFromTypeToType) {
  const std::map<Type, std::vector<int32_t>> given = {{Type::kInt8, {-128, -101, -3, 0, 3, 4, 77, 127}},
                                                      {Type::kUInt8, {0, 1, 99, 119, 120, 121, 200, 255}},
                                                      {Type::kInt16, {-32768, -777, -25, -24, 0, 25, 26, 32767}}};
  const std::map<std::pair<Type, Type>, std::vector<int32_t>> wanted = {
      {{Type::kInt8, Type::kInt8}, {-128, -101, -3, 0, 3, 4, 77, 127}},
      {{Type::kInt8, Type::kUInt8}, {0, 0, 108, 114, 120, 122, 255, 255}},
      {{Type::kInt8, Type::kInt16}, {-6550, -5200, -300, -150, 0, 50, 3700, 6200}},
      {{Type::kUInt8, Type::kInt8}, {-57, -56, -7, 3, 3, 4, 43, 71}},
      {{Type::kUInt8, Type::kUInt8}, {0, 1, 99, 119, 120, 121, 200, 255}},
      {{Type::kUInt8, Type::kInt16}, {-3000, -2975, -525, -25, 0, 25, 2000, 3375}},
      {{Type::kInt16, Type::kInt8}, {-128, -13, 2, 3, 3, 4, 4, 127}},
      {{Type::kInt16, Type::kInt16}, {-32768, -777, -25, -24, 0, 25, 26, 32767}},
  };
  for (const Levels& from : kKinds) {
    for (const Levels& to : kKinds) {
      SCOPED_TRACE(octet::str(tflite::type_name(from.type), " to ", tflite::type_name(to.type)));
      const tflite::Model model = program(OpCode::kQuantize, {tensor("x", {8}, from)}, tensor("y", {8}, to));
      const auto levels = wanted.find({from.type, to.type});
      if (levels == wanted.end()) {
        EXPECT_THROW(integer::Executor{model}, Error);
        continue;
      }
      const at::Tensor x = at::tensor(given.at(from.type)).to(integer::scalar_type(from.type));
      const at::Tensor got = integer::Executor(model).run({x}).at(0);
      EXPECT_TRUE(at::equal(got.to(at::kInt), at::tensor(levels->second))) << got;
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
  for (const auto& [type, zero_point] : {std::pair(Type::kUInt8, -1), std::pair(Type::kInt8, 128),
                                         std::pair(Type::kInt16, 32768), std::pair(Type::kInt16, 5)}) {
    const Levels levels = {type, 0.5F, zero_point};
    EXPECT_THROW(integer::Executor(program(OpCode::kDequantize, {tensor("x", {4}, levels)}, tensor("y", {4}, kFloat))),
                 Error);
  }
  EXPECT_EQ(integer::grid_of(tensor("x", {4}, kKinds[1])), integer::Grid::of_type(Type::kUInt8, 0.25F, 120));
  EXPECT_FALSE(integer::grid_of(tensor("x", {4}, kFloat)));
}

}  // namespace
}  // namespace octet
