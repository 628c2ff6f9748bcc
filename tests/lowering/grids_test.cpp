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
  Node* x = on_uint8(g, g.input({2, 3}));
  const auto model = g.finish({on_uint8(g, g.call("aten.add.Tensor", {x, x}))});
  EXPECT_NE(refusal(*model).find("[add 'add'] type of 'add': expected int8, got uint8"), std::string::npos)
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
