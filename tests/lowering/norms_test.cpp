// Normalizations that TFLite has no operator for: islands in float, lowered as a whole and read back.

#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::GraphBuilder;
using Sizes = std::vector<int64_t>;

struct NormCase {
  std::string name;
  Sizes input;
  std::function<Node*(GraphBuilder&, Node*)> norm;
};
void PrintTo(const NormCase& each, std::ostream* out) { *out << each.name; }

Node* instance_norm(GraphBuilder& g, Node* x, bool affine, bool own_statistics) {
  Arg weight, bias, mean, var;
  if (affine) {
    weight = g.parameter("w", {6});
    bias = g.parameter("b", {6});
  }
  if (!own_statistics) {
    mean = g.tensor("m", at::zeros({6}));
    var = g.tensor("v", at::ones({6}));
  }
  return g.call("aten.instance_norm.default", {x, weight, bias, mean, var, own_statistics, 0.1, 1e-3, false});
}

std::vector<NormCase> norm_cases() {
  return {
      {"group_norm_image",
       {2, 6, 5, 4},
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.group_norm.default",
                       {x, int64_t{3}, g.parameter("w", {6}), g.parameter("b", {6}), 1e-3, false});
       }},
      {"group_norm_row",
       {1, 6, 9},
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.group_norm.default", {x, int64_t{1}});
       }},
      {"instance_norm_image", {1, 6, 5, 4}, [](GraphBuilder& g, Node* x) { return instance_norm(g, x, true, true); }},
      {"instance_norm_row", {2, 6, 9}, [](GraphBuilder& g, Node* x) { return instance_norm(g, x, false, true); }},
      {"layer_norm",
       {1, 7, 6},
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.layer_norm.default", {x, Sizes{6}, g.parameter("w", {6}), g.parameter("b", {6})});
       }},
      {"rms_norm",
       {1, 7, 6},
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.rms_norm.default", {x, Sizes{6}, g.parameter("w", {6}), 1e-3});
       }},
      {"rms_norm_two_dimensions_without_weight_and_eps",
       {2, 5, 7, 6},
       [](GraphBuilder& g, Node* x) {
         return g.call("aten.rms_norm.default", {x, Sizes{7, 6}});
       }},
  };
}

std::shared_ptr<GraphModule> quantized_norm(const NormCase& each, std::vector<at::Tensor>& inputs) {
  at::manual_seed(4);
  GraphBuilder g;
  const auto model = g.finish({each.norm(g, g.input(each.input))});
  inputs = g.inputs();
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  auto result = calibrate_and_quantize(model, {inputs}, quantizer);
  propagate_shapes(*result, inputs);
  return result;
}

class Norms : public testing::TestWithParam<NormCase> {};

TEST_P(Norms, GiveWhatTheFloatProgramGives) {
  std::vector<at::Tensor> inputs;
  const auto network = quantized_norm(GetParam(), inputs);
  const tflite::Model program = lower(*network);
  const at::Tensor wanted = network->run(inputs).at(0);
  const at::Tensor got = integer::Executor(program).run_dequantized(inputs).at(0);
  EXPECT_TRUE(at::allclose(got, wanted, 1e-4, 1e-4)) << (got - wanted).abs().max().item<double>();
  const auto graph = graph_of(program);
  // Four dimensions are an image to the way back, whatever they were.
  const bool turns = graph->graph().placeholders().at(0)->sizes() != inputs[0].sizes().vec();
  const at::Tensor given = turns ? inputs[0].permute({0, 3, 1, 2}).contiguous() : inputs[0];
  at::Tensor again = integer::Executor(lower(*graph)).run_dequantized({given}).at(0);
  if (again.sizes() != wanted.sizes()) again = again.permute({0, 2, 3, 1});
  ASSERT_EQ(again.sizes(), wanted.sizes());
  EXPECT_TRUE(at::allclose(again, wanted, 1e-4, 1e-4)) << "read back";
}

INSTANTIATE_TEST_SUITE_P(All, Norms, testing::ValuesIn(norm_cases()), [](const auto& each) { return each.param.name; });

// Over the channels, the image and both of what lies as NHWC, and over rows.
TEST(VectorNorms, GiveWhatTheFloatProgramGives) {
  for (const double order :
       {2.0, 1.0, std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    for (const bool keeps : {true, false}) {
      for (const Sizes& dims : {Sizes{1}, Sizes{2, 3}, Sizes{1, 2, 3}, Sizes{3}, Sizes{-1, 1}}) {
        at::manual_seed(5);
        GraphBuilder g;
        Node* image = g.conv2d("c", g.input({1, 3, 6, 5}), 3, 4);
        const auto model = g.finish({g.call("aten.linalg_vector_norm.default", {image, order, dims, keeps})});
        const at::Tensor wanted = model->run(g.inputs()).at(0);
        const at::Tensor got = integer::Executor(lower(*model)).run(g.inputs()).at(0);
        ASSERT_EQ(got.sizes(), wanted.sizes()) << order;
        EXPECT_TRUE(at::allclose(got, wanted, 1e-5, 1e-5))
            << order << " over " << dims.size() << (keeps ? ", kept" : "");
      }
    }
  }
}

TEST(VectorNorms, OfAnotherOrderAreRefused) {
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.linalg_vector_norm.default", {g.input({2, 6}), 3.0, Sizes{1}, true})});
  EXPECT_TRUE(test::fails_with([&] { lower(*model); }, "a norm of order 3"));
}

TEST(Norms, ByRunningStatisticsAreFactorsAndOffsets) {
  for (const bool is_known : {true, false}) {
    GraphBuilder g;
    const auto stated = [&](const char* name) { return is_known ? Arg(g.tensor(name, at::rand({6}) + 0.5)) : Arg(); };
    const Arg mean = stated("mean"), variance = stated("variance");
    Node* x = g.input({1, 6, 5, 4});
    const auto model = g.finish({g.call("aten.instance_norm.default", {x, g.parameter("w", {6}), g.parameter("b", {6}),
                                                                       mean, variance, !is_known, 0.1, 1e-3, false})});
    const at::Tensor wanted = model->run(g.inputs()).at(0);
    const tflite::Model program = lower(*model);
    EXPECT_TRUE(at::allclose(integer::Executor(program).run(g.inputs()).at(0), wanted, 1e-4, 1e-5));
    EXPECT_EQ(program.operators.size(), is_known ? 2U : 9U);
  }
}

// A BatchNorm that keeps none: over its batch.
TEST(Norms, OfTheirBatchAreLowered) {
  GraphBuilder g;
  Node* x = g.conv2d("c", g.input({2, 3, 5, 4}), 3, 6);
  const auto model = g.finish({g.call("aten.batch_norm.default", {x, g.parameter("w", {6}), g.parameter("b", {6}),
                                                                  Arg(), Arg(), true, 0.1, 1e-3, false})});
  const at::Tensor wanted = model->run(g.inputs()).at(0);
  EXPECT_TRUE(at::allclose(integer::Executor(lower(*model)).run(g.inputs()).at(0), wanted, 1e-4, 1e-5));
}

}  // namespace
}  // namespace octet
