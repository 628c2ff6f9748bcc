// From an int8 program back to a graph, and to a program again.

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/target.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"

namespace octet {
namespace {

// "op_add/neutron_0"
std::vector<std::string> all_programs() {
  std::vector<std::string> programs;
  for (const std::string& name : test::GoldenCase::all()) {
    for (int k = 0; test::GoldenCase(name).has(octet::str("neutron_", k, ".tflite")); ++k) {
      programs.push_back(octet::str(name, "/neutron_", k));
    }
  }
  return programs;
}

class ProgramGraph : public testing::TestWithParam<std::string> {};

TEST_P(ProgramGraph, LowersToTheSameIntegersAgain) {
  const tflite::Model program = tflite::read(test::data("golden/cases/" + GetParam() + ".tflite"));
  const auto graph = graph_of(program);
  const tflite::Model again = lower(*graph);
  std::vector<at::Tensor> given, turned;
  for (size_t j = 0; j < program.inputs.size(); ++j) {
    const auto& shape = program.tensors[static_cast<size_t>(program.inputs[j])].shape;
    given.push_back(at::randint(-128, 128, shape, at::kChar));
    const bool is_nhwc = graph->graph().placeholders().at(j)->sizes() != shape;
    turned.push_back(is_nhwc ? given.back().permute({0, 3, 1, 2}).contiguous() : given.back());
  }
  const auto wanted = integer::Executor(program).run(given);
  const auto got = integer::Executor(again).run(turned);
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t j = 0; j < got.size(); ++j) {
    const at::Tensor result = got[j].sizes() == wanted[j].sizes() ? got[j] : got[j].permute({0, 2, 3, 1});
    ASSERT_EQ(result.sizes(), wanted[j].sizes());
    EXPECT_TRUE(at::equal(result, wanted[j])) << test::operators_of(again) << "\nof " << test::operators_of(program);
  }
}

// They are what the reference gives to the NPU.
TEST_P(ProgramGraph, RunsOnTheNpu) {
  const auto graph = graph_of(tflite::read(test::data("golden/cases/" + GetParam() + ".tflite")));
  const targets::Placement placement = targets::place(*graph, neutron::target(NeutronTargetSpec("imxrt700")));
  for (const targets::OperatorPlacement& each : placement.operators) {
    EXPECT_TRUE(each.partition) << each.op << ": " << each.reason;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProgramGraph, testing::ValuesIn(all_programs()), [](const auto& each) {
  std::string name = each.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

// What the file computes in float is on the CPU, under the name that the model has for it.
TEST(ProgramGraphOfFloats, IsOnTheCpu) {
  for (const char* op : {"gelu", "layer_norm"}) {
    at::manual_seed(5);
    test::GraphBuilder g;
    Node* x = g.call("aten.relu.default", {g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4)});
    Node* middle = op == std::string("gelu")
                       ? g.call("aten.gelu.default", {x})
                       : g.call("aten.layer_norm.default", {x, std::vector<int64_t>{8}, g.parameter("g", {8})});
    const auto model = g.finish({g.conv2d("d", middle, 4, 2)});
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
    const targets::Check of_model = targets::check_model(*model, quantizer);
    const auto converted = calibrate_and_quantize(model, {g.inputs()}, quantizer);
    propagate_shapes(*converted, g.inputs());
    const targets::Check of_file = targets::check_model(*graph_of(lower(*converted)), quantizer);
    std::vector<std::string> wanted, got;
    for (const auto& row : of_model.placement.operators) {
      if (!row.partition) wanted.push_back(row.op + " " + row.name + ": " + row.reason.substr(row.reason.find(']')));
    }
    for (const auto& row : of_file.placement.operators) {
      if (!row.partition) got.push_back(row.op + " " + row.name + ": " + row.reason.substr(row.reason.find(']')));
    }
    EXPECT_EQ(wanted.size(), 1u) << op;
    EXPECT_EQ(got, wanted) << op;
  }
}

TEST(ProgramGraphOfFloats, OfAFileWithoutIntegersIsNotOnTheNpu) {
  test::GraphBuilder g;
  const auto model = g.finish({g.call("aten.relu.default", {g.linear("l", g.input({2, 4}), 4, 3)})});
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const targets::Check check = targets::check_model(*graph_of(lower(*model)), quantizer);
  EXPECT_EQ(check.placement.on_cpu(), static_cast<int64_t>(check.placement.operators.size()));
  EXPECT_EQ(check.placement.npu_macs(), 0);
}

// A transposition that the graph does without leaves no second quantize on the same grid, which parts partitions.
TEST(ProgramGraphOfOctetsFiles, QuantizesNoValueTwice) {
  for (const char* name : {"conv1d_relu", "op_max_pool1d", "net_shuffle_unit", "op_flatten", "net_cifarnet"}) {
    const auto graph = graph_of(tflite::read(test::data(octet::str("litert/", name, ".tflite"))));
    for (const Node* node : graph->graph().nodes()) {
      if (!node->is(Trait::kQuantize)) continue;
      const Node* from = node->arg(size_t{0}).node();
      if (!from->is(Trait::kDequantize)) continue;
      EXPECT_NE(node->arg(1).to_double(), from->arg(1).to_double()) << name << ": " << node->name();
    }
    EXPECT_EQ(targets::place(*graph, neutron::target(NeutronTargetSpec("imxrt700"))).partitions, 1) << name;
  }
}

// An operator of its own, of float32 or int8 tensors of these shapes, with constants behind the first input.
struct OneOperator {
  tflite::OpCode code;
  std::vector<int64_t> in, out;
  std::vector<std::vector<int64_t>> indices;
  tflite::Options options;
};

tflite::Model program_of(const OneOperator& each) {
  tflite::Model program;
  const auto add = [&](const std::vector<int64_t>& shape) {
    tflite::Tensor tensor;
    tensor.name = octet::str("t", program.tensors.size());
    tensor.type = tflite::Type::kInt8;
    tensor.shape = shape;
    tensor.quantization = {{0.1F}, {3}, 0};
    program.tensors.push_back(tensor);
    return static_cast<int32_t>(program.tensors.size() - 1);
  };
  tflite::Operator op;
  op.code = each.code;
  op.options = each.options;
  op.inputs = program.inputs = {add(each.in)};
  for (const std::vector<int64_t>& values : each.indices) {
    op.inputs.push_back(add({static_cast<int64_t>(values.size())}));
    tflite::Tensor& tensor = program.tensors.back();
    tensor.type = tflite::Type::kInt32;
    tensor.quantization = {};
    tensor.is_constant = true;
    for (const int64_t value : values) {
      const auto narrow = static_cast<int32_t>(value);
      const auto* bytes = reinterpret_cast<const uint8_t*>(&narrow);
      tensor.data.insert(tensor.data.end(), bytes, bytes + sizeof narrow);
    }
  }
  op.outputs = program.outputs = {add(each.out)};
  program.operators = {op};
  return program;
}

TEST(ProgramGraphOfMoves, GivesTheSameValues) {
  const at::NoGradGuard no_grad;
  using enum tflite::OpCode;
  tflite::Options by_row, masked, block;
  by_row.axis = 1;
  masked.masks.begin = 1;
  masked.masks.shrink_axis = 2;
  block.block_size = 2;
  for (const OneOperator& each : std::vector<OneOperator>{
           {kGather, {1, 4, 5, 3}, {1, 3, 5, 3}, {{0, 2, 2}}, by_row},
           {kGather, {2, 6}, {2, 3}, {{5, 0, 1}}, by_row},
           {kStridedSlice, {2, 7, 5}, {2, 3, 5}, {{0, 1, 0}, {2, 7, 5}, {1, 2, 1}}, {}},
           {kStridedSlice, {1, 6, 8, 3}, {1, 3, 4, 2}, {{0, 0, 0, 1}, {1, 6, 8, 3}, {1, 2, 2, 1}}, {}},
           {kStridedSlice, {1, 6, 8, 3}, {1, 4, 3}, {{0, 3, 0, 0}, {1, 4, 8, 3}, {1, 1, 2, 1}}, masked},
           {kBroadcastTo, {1, 1, 1, 3}, {1, 4, 2, 3}, {{1, 4, 2, 3}}, {}},
           {kSpaceToDepth, {1, 4, 6, 3}, {1, 2, 3, 12}, {}, block},
           {kDepthToSpace, {1, 2, 3, 12}, {1, 4, 6, 3}, {}, block}}) {
    const tflite::Model program = program_of(each);
    const auto graph = graph_of(program);
    const at::Tensor given = at::randint(-128, 128, each.in, at::kChar);
    at::Tensor floats = (given.to(at::kFloat) - 3) * 0.1F;
    if (graph->graph().placeholders()[0]->sizes() != each.in) floats = floats.permute({0, 3, 1, 2}).contiguous();
    const at::Tensor wanted = (integer::Executor(program).run({given})[0].to(at::kFloat) - 3) * 0.1F;
    at::Tensor got = graph->run({floats})[0];
    if (got.sizes() != wanted.sizes()) got = got.permute({0, 2, 3, 1});
    ASSERT_EQ(got.sizes(), wanted.sizes()) << tflite::op_name(each.code);
    EXPECT_TRUE(at::allclose(got, wanted, 0, 1e-5)) << tflite::op_name(each.code);
  }
}

}  // namespace
}  // namespace octet
