// A program's values are joined with the graph's by what the lowering wrote of them, never by their tensors' names; and
// graphs of any depth are lowered.

#include <gtest/gtest.h>

#include <set>

#include "octet/lowering/facts.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/verify.h"
#include "octet/support/byte_source.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/golden_case.h"
#include "tests/support/small_stack.h"

namespace octet {
namespace {

using test::GoldenCase;
using test::GraphBuilder;
using tflite::OpCode;

std::vector<std::string> names_of(const Verification& found) {
  std::vector<std::string> names;
  for (const ValueDeviation& layer : found.layers) names.push_back(layer.name);
  return names;
}

// A tensor of its own takes the name of a node: the image is transposed as "x1_nhwc" in front of the convolution.
TEST(Sources, JoinWhereNamesCollide) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({1, 3, 6, 6});
  Node* image = g.call("aten.relu.default", {g.conv2d("c", x, 3, 3)});
  Graph& graph = x->graph();
  Node* named = graph.call("aten.add.Tensor", {image, image}, {}, "x1_nhwc");
  const auto model = g.finish({g.call("aten.relu.default", {g.conv2d("d", named, 3, 2)})});
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto quantized = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  propagate_shapes(*quantized, g.inputs());
  const tflite::Model program = lower(*quantized);
  const auto tensor = std::find_if(program.tensors.begin(), program.tensors.end(),
                                   [](const auto& each) { return each.name == "x1_nhwc"; });
  ASSERT_NE(tensor, program.tensors.end());
  EXPECT_EQ(program.operators.front().outputs.front(), tensor - program.tensors.begin()) << "the transposed image";
  const Verification found = verify(*quantized, program, g.inputs());
  bool is_there = false;
  for (const ValueDeviation& layer : found.layers) {
    EXPECT_LE(layer.alone.most_steps, 1.01) << layer.name;
    if (layer.name != "x1_nhwc") continue;
    is_there = true;
    EXPECT_EQ(layer.op, "ADD");
  }
  EXPECT_TRUE(is_there);
}

TEST(Sources, JoinWhereNamesWereChanged) {
  const GoldenCase golden("net_cifarnet");
  const auto network = golden.quantize();
  const auto inputs = golden.arrays("test_");
  tflite::Model program = lower(*network);
  const std::vector<std::string> wanted = names_of(verify(*network, program, inputs));
  ASSERT_GT(wanted.size(), 4u);
  for (size_t i = 0; i < program.tensors.size(); ++i) program.tensors[i].name = octet::str("t", i);
  EXPECT_EQ(names_of(verify(*network, program, inputs)), wanted);
  // Through a file as well.
  const std::vector<uint8_t> bytes = tflite::serialize(program);
  const tflite::Model read = tflite::read(memory_source("renamed", std::string(bytes.begin(), bytes.end())));
  EXPECT_EQ(names_of(verify(*network, read, inputs)), wanted);
  // A file that says nothing is joined by names, of which there are none left.
  program.metadata.clear();
  EXPECT_TRUE(verify(*network, program, inputs).layers.empty());
}

TEST(Sources, OfFilesThatSayNothingAreTheNames) {
  const GoldenCase golden("net_cifarnet");
  const auto network = golden.quantize();
  const auto inputs = golden.arrays("test_");
  tflite::Model program = lower(*network);
  const std::vector<std::string> wanted = names_of(verify(*network, program, inputs));
  program.metadata.clear();
  EXPECT_EQ(names_of(verify(*network, program, inputs)), wanted);
}

// Every operator says which node it came from, and which of the float model that stands for.
TEST(Sources, AreThereForEveryOperator) {
  const auto network = GoldenCase("net_mobilenet_v2_w025").quantize();
  const tflite::Model program = lower(*network);
  const auto facts = lowering::facts_of(program);
  ASSERT_TRUE(facts);
  ASSERT_EQ(facts->operators.size(), program.operators.size());
  std::set<std::string> folded;
  for (const lowering::OperatorSource& source : facts->operators) {
    EXPECT_NE(network->graph().find(source.node), nullptr) << source.node;
    if (!source.model_node.empty()) folded.insert(source.model_node);
  }
  EXPECT_FALSE(folded.empty()) << "convolutions that a BatchNorm was folded into carry its name";
}

Node* on_grid(GraphBuilder& g, Node* value) {
  std::vector<Arg> args = {value, 0.05, int64_t{0}, int64_t{-128}, int64_t{127}, static_cast<int64_t>(at::kChar)};
  args[0] = g.call("quantized_decomposed.quantize_per_tensor.default", args);
  return g.call("quantized_decomposed.dequantize_per_tensor.default", args);
}

// Activations, transpositions and views between one dequantize and one quantize.
TEST(Depth, IsNoRecursionAndNoSquare) {
  constexpr int64_t kSteps = test::kDeep;
  GraphBuilder g;
  Node* x = on_grid(g, g.input({1, 2, 3}));
  for (int64_t i = 0; i < kSteps; ++i) {
    switch (i % 4) {
      case 0:
        x = g.call("aten.permute.default", {x, std::vector<int64_t>{0, 2, 1}});
        break;
      case 1:
        x = g.call("aten.permute.default", {x, std::vector<int64_t>{0, 2, 1}});
        break;
      case 2:
        x = g.call("aten.reshape.default", {x, std::vector<int64_t>{1, 2, 3}});
        break;
      default:
        x = g.call("aten.relu.default", {x});
        break;
    }
  }
  const auto model = g.finish({on_grid(g, x)});
  tflite::Model program;
  test::on_small_stack([&] { program = lower(*model); });
  EXPECT_EQ(program.operators.size(), static_cast<size_t>(kSteps / 4)) << "the activations; all else cancels out";
}

// Elementwise operators in front of a convolution all keep its layout.
TEST(Depth, LayoutGoesBackAsFarAsItMust) {
  constexpr int kSteps = 5000;
  GraphBuilder g;
  Node* x = g.input({1, 2, 4, 4});
  for (int i = 0; i < kSteps; ++i) x = on_grid(g, g.call("aten.relu.default", {x}));
  Node* weight = g.tensor("w", at::randint(-127, 128, {2, 2, 1, 1}, at::kChar));
  weight = g.call("quantized_decomposed.dequantize_per_tensor.default",
                  {weight, 0.01, int64_t{0}, int64_t{-127}, int64_t{127}, static_cast<int64_t>(at::kChar)});
  const auto model = g.finish({on_grid(g, g.call("aten.conv2d.default", {x, weight}))});
  tflite::Model program;
  test::on_small_stack([&] { program = lower(*model, {.nhwc_io = true}); });
  EXPECT_EQ(std::count_if(program.operators.begin(), program.operators.end(),
                          [](const auto& op) { return op.code == OpCode::kTranspose; }),
            0);
}

}  // namespace
}  // namespace octet
