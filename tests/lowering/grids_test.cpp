// Grids of other types than int8: what moves values takes them, what computes refuses them.

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/support/error.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;

Node* on_levels(GraphBuilder& g, Node* value, at::ScalarType type, int64_t zero_point, int64_t low, int64_t high) {
  std::vector<Arg> args = {value, 0.05, zero_point, low, high, static_cast<int64_t>(type)};
  args[0] = g.call("quantized_decomposed.quantize_per_tensor.default", args);
  return g.call("quantized_decomposed.dequantize_per_tensor.default", args);
}
Node* on_uint8(GraphBuilder& g, Node* value) { return on_levels(g, value, at::kByte, 128, 0, 255); }

std::string refusal(const GraphModule& model) {
  try {
    lower(model);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(TypedGrids, MoveThroughAProgram) {
  at::manual_seed(4);
  for (const auto& [type, zero_point, low, high] :
       {std::tuple(at::kByte, 128, 0, 255), std::tuple(at::kShort, 0, -32768, 32767)}) {
    GraphBuilder g;
    Node* x = on_levels(g, g.input({2, 3, 4}), type, zero_point, low, high);
    x = on_levels(g, g.call("aten.permute.default", {x, std::vector<int64_t>{0, 2, 1}}), type, zero_point, low, high);
    x = on_levels(g, g.call("aten.pad.default", {x, std::vector<int64_t>{1, 2}, std::string("constant"), 0.5}), type,
                  zero_point, low, high);
    const auto model = g.finish({x});
    const tflite::Model program = lower(*model);
    const tflite::Tensor& input = program.tensors[static_cast<size_t>(program.inputs[0])];
    EXPECT_EQ(integer::scalar_type(input.type), type);
    const at::Tensor wanted = model->run(g.inputs()).at(0);
    EXPECT_TRUE(at::equal(integer::Executor(program).run_dequantized(g.inputs()).at(0), wanted));
    // And the way back, on the same grid.
    const auto graph = graph_of(program);
    EXPECT_TRUE(at::equal(graph->run(g.inputs()).at(0), wanted));
  }
}

TEST(Constants, KeepTheirGridAsAFactor) {
  at::manual_seed(6);
  GraphBuilder g;
  const auto grid = [](double scale) {
    return std::vector<Arg>{scale, int64_t{0}, int64_t{-127}, int64_t{127}, static_cast<int64_t>(at::kChar)};
  };
  const auto on = [&](const std::string& op, Node* value, double scale) {
    std::vector<Arg> args = grid(scale);
    args.insert(args.begin(), value);
    return g.call("quantized_decomposed." + op + "_per_tensor.default", args);
  };
  Node* factor = g.tensor("factor", at::randint(-127, 128, {1, 6, 5}, at::kChar), AttrKind::kConstant);
  Node* x = on("dequantize", on("quantize", g.input({1, 5, 4}), 0.03), 0.03);
  Node* product = g.call("aten.bmm.default", {on("dequantize", factor, 0.01), x});
  const auto model = g.finish({on("dequantize", on("quantize", product, 0.2), 0.2)});
  const tflite::Model program = lower(*model);
  for (const tflite::Operator& op : program.operators) EXPECT_NE(op.code, tflite::OpCode::kQuantize);
  const auto is_factor = [](const tflite::Tensor& tensor) {
    return tensor.quantization.scale == std::vector<float>{0.01F} && tensor.shape == std::vector<int64_t>{1, 6, 5};
  };
  EXPECT_TRUE(std::any_of(program.tensors.begin(), program.tensors.end(), is_factor));
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  const at::Tensor got = integer::Executor(program).run_dequantized(g.inputs()).at(0);
  EXPECT_LE((got - wanted).abs().max().item<float>(), 0.2001F);
  EXPECT_LE((got - wanted).count_nonzero().item<int64_t>(), 1);
}

TEST(TypedGrids, MeetByQuantize) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* x = on_uint8(g, g.input({2, 3}));
  const auto model = g.finish({on_levels(g, x, at::kChar, -3, -128, 127)});
  const tflite::Model program = lower(*model);
  ASSERT_EQ(program.operators.size(), 1u);
  EXPECT_EQ(program.operators[0].code, tflite::OpCode::kQuantize);
  EXPECT_TRUE(at::equal(integer::Executor(program).run_dequantized(g.inputs()).at(0), model->run(g.inputs()).at(0)));
}

TEST(TypedGrids, AreRefusedByWhatComputesInInt8) {
  GraphBuilder g;
  const auto on_int16 = [&](Node* value) { return on_levels(g, value, at::kShort, 0, -32768, 32767); };
  Node* x = on_int16(g.input({2, 3}));
  const auto model = g.finish({on_int16(g.call("aten.add.Tensor", {x, x}))});
  EXPECT_NE(refusal(*model).find("[add 'add'] type of 'add': expected int8, got int16"), std::string::npos)
      << refusal(*model);
}

TEST(TypedGrids, OfUint8BecomeInt8WhereTheyAreComputedOn) {
  at::manual_seed(6);
  GraphBuilder g;
  Node* x = on_levels(g, g.input({2, 3, 4, 4}), at::kByte, 131, 0, 255);
  Node* held = g.tensor("held", at::randint(0, 256, {1, 3, 4, 4}).to(at::kByte), AttrKind::kConstant);
  held = g.call("quantized_decomposed.dequantize_per_tensor.default",
                {held, 0.02, int64_t{100}, int64_t{0}, int64_t{255}, static_cast<int64_t>(at::kByte)});
  x = on_levels(g, g.call("aten.add.Tensor", {x, held}), at::kByte, 120, 0, 255);
  const auto model = g.finish({on_levels(g, g.call("aten.relu.default", {x}), at::kByte, 120, 0, 255)});
  const tflite::Model program = lower(*model);
  for (const tflite::Tensor& tensor : program.tensors) {
    EXPECT_EQ(tensor.type, tflite::Type::kInt8) << tensor.name;
  }
  EXPECT_EQ(program.tensors[static_cast<size_t>(program.inputs[0])].quantization.zero_point.at(0), 3);
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  // An addition in integers may round the other way once.
  EXPECT_TRUE(at::allclose(integer::Executor(program).run_dequantized(g.inputs()).at(0), wanted, 0, 0.0501));
  // Outside, images stay bytes where they are asked for.
  const tflite::Model bytes = lower(*model, {.uint8_io = true});
  EXPECT_EQ(bytes.tensors[static_cast<size_t>(bytes.inputs[0])].type, tflite::Type::kUInt8);
  EXPECT_EQ(bytes.tensors[static_cast<size_t>(bytes.inputs[0])].quantization.zero_point.at(0), 131);
}

// They pass values on, but have kernels of int8 alone.
TEST(TypedGrids, OfUint8BecomeInt8BeforePoolsAndClips) {
  at::manual_seed(11);
  const std::vector<int64_t> two = {2, 2};
  const std::vector<std::pair<std::string, std::vector<Arg>>> operators = {
      {"aten.max_pool2d.default", {two}},
      {"aten.avg_pool2d.default", {two}},
      {"aten.adaptive_avg_pool2d.default", {std::vector<int64_t>{1, 1}}},
      {"aten.upsample_nearest2d.vec", {std::vector<int64_t>{8, 8}, Arg()}},
      {"aten.amax.default", {std::vector<int64_t>{1}}},
      {"aten.clamp.default", {-0.5, 1.5}}};
  for (const auto& [op, literals] : operators) {
    GraphBuilder g;
    std::vector<Arg> args = {on_uint8(g, g.input({1, 3, 4, 4}))};
    args.insert(args.end(), literals.begin(), literals.end());
    const auto model = g.finish({on_uint8(g, g.call(op, args))});
    const tflite::Model program = lower(*model);
    for (const tflite::Tensor& tensor : program.tensors) EXPECT_NE(tensor.type, tflite::Type::kUInt8) << op;
    const at::Tensor wanted = model->run(g.inputs()).at(0);
    const at::Tensor got = integer::Executor(program).run_dequantized(g.inputs()).at(0);
    EXPECT_TRUE(at::allclose(got, wanted, 0, 0.0501)) << op;  // a mean may round the other way
  }
}

TEST(TypedGrids, FactorsOffTheirMiddleAreNoWeights) {
  at::manual_seed(12);
  GraphBuilder g;
  Node* factor = g.call("quantized_decomposed.dequantize_per_tensor.default",
                        {g.tensor("f", at::randint(0, 256, {5, 4}).to(at::kByte), AttrKind::kConstant), 0.01,
                         int64_t{100}, int64_t{0}, int64_t{255}, static_cast<int64_t>(at::kByte)});
  const auto model = g.finish({on_uint8(g, g.call("aten.mm.default", {on_uint8(g, g.input({3, 5})), factor}))});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  EXPECT_TRUE(at::allclose(integer::Executor(lower(*model)).run_dequantized(g.inputs()).at(0), wanted, 0, 0.0501));
}

// QNN has the exponent as a tensor.
TEST(TypedGrids, PowersOfTensorsAreComputedInFloat) {
  GraphBuilder g;
  Node* x = on_uint8(g, g.call("aten.relu.default", {on_uint8(g, g.input({2, 3, 4}))}));
  Node* exponent = g.tensor("e", at::scalar_tensor(3.0), AttrKind::kConstant);
  const auto model = g.finish({on_uint8(g, g.call("aten.pow.Tensor_Tensor", {x, exponent}))});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  EXPECT_TRUE(at::allclose(integer::Executor(lower(*model)).run_dequantized(g.inputs()).at(0), wanted, 0, 0.0501));
}

TEST(TypedGrids, OfResultsThatAKernelFixesAreTurnedByQuantize) {
  for (const auto& [op, axis] : {std::pair("aten.softmax.int", 1), std::pair("aten.softmax.int", 3),
                                 std::pair("aten.sigmoid.default", 0), std::pair("aten.tanh.default", 0)}) {
    at::manual_seed(7);
    GraphBuilder g;
    Node* x = on_levels(g, g.input({1, 3, 4, 5}), at::kChar, 0, -128, 127);
    std::vector<Arg> args = {x};
    if (std::string_view(op) == "aten.softmax.int") args.emplace_back(axis);
    const auto model = g.finish({on_levels(g, g.call(op, args), at::kChar, -7, -128, 127)});
    const tflite::Model program = lower(*model);
    EXPECT_TRUE(std::any_of(program.operators.begin(), program.operators.end(), [](const tflite::Operator& each) {
      return each.code == tflite::OpCode::kQuantize;
    })) << op;
    // The grid's step is 0.05, the kernel's in front of it 1/128 at most.
    const at::Tensor wanted = model->run(g.inputs()).at(0);
    EXPECT_TRUE(at::allclose(integer::Executor(program).run_dequantized(g.inputs()).at(0), wanted, 0, 0.0501)) << op;
  }
}

// What TFLite's softmax of integers gives of hundreds of classes is 0 everywhere.
TEST(TypedGrids, ThatAreFinerThanAKernelsAreReachedFromFloat) {
  at::manual_seed(8);
  GraphBuilder g;
  Node* x = on_levels(g, g.input({2, 1000}), at::kChar, 0, -128, 127);
  Node* y = g.call("aten.softmax.int", {x, int64_t{1}});
  std::vector<Arg> args = {y, 0.0001, int64_t{-128}, int64_t{-128}, int64_t{127}, static_cast<int64_t>(at::kChar)};
  for (const char* op : {"quantize", "dequantize"}) {
    args[0] = g.call(octet::str("quantized_decomposed.", op, "_per_tensor.default"), args);
  }
  const auto model = g.finish({args[0]});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  EXPECT_TRUE(at::allclose(integer::Executor(lower(*model)).run_dequantized(g.inputs()).at(0), wanted, 0, 0.000101));
}

TEST(TypedGrids, WeightsOffTheirMiddleAreRefused) {
  GraphBuilder g;
  Node* x = on_levels(g, g.input({2, 3}), at::kChar, 0, -128, 127);
  Node* weight = g.call("quantized_decomposed.dequantize_per_tensor.default",
                        {g.tensor("w", at::ones({4, 3}, at::kByte), AttrKind::kConstant), 0.1, int64_t{131}, int64_t{0},
                         int64_t{255}, static_cast<int64_t>(at::kByte)});
  const auto model = g.finish({on_uint8(g, g.call("aten.linear.default", {x, weight}))});
  EXPECT_NE(refusal(*model).find("[linear 'linear'] zero point of the weight: expected 0, as TFLite has it, got 3"),
            std::string::npos)
      << refusal(*model);
}

TEST(TypedGrids, RangesThatTfliteCannotSayAreRefused) {
  const auto with_range = [](int64_t low, int64_t high) {
    GraphBuilder g;
    return refusal(*g.finish({on_levels(g, g.input({2, 3}), at::kChar, 0, low, high)}));
  };
  EXPECT_EQ(with_range(-128, 127), "");
  EXPECT_EQ(with_range(-127, 127), "");
  EXPECT_NE(with_range(-64, 63).find("range of an activation: expected that of int8, -128 to 127, got -64 to 63"),
            std::string::npos)
      << with_range(-64, 63);
}

}  // namespace
}  // namespace octet
