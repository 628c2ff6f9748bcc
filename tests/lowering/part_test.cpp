// Parts of a program: between named nodes, and as much as a .tflite can hold.

#include "octet/lowering/part.h"

#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::GraphBuilder;

std::shared_ptr<GraphModule> quantized_whole(const std::shared_ptr<GraphModule>& model,
                                             const std::vector<at::Tensor>& inputs,
                                             const std::vector<std::string>& without_passes = {}) {
  NeutronOptions options;
  options.without_passes = without_passes;
  NeutronQuantizer quantizer{options};
  auto result = calibrate_and_quantize(model->copy(), {inputs}, quantizer);
  propagate_shapes(*result, inputs);
  return result;
}

// Three convolutions, of which one reads the sum of two values.
struct Branches {
  GraphBuilder g;
  Node* first;
  Node* second;
  Node* sum;
  std::shared_ptr<GraphModule> model;

  Branches() {
    at::manual_seed(0);
    first = g.call("aten.hardswish.default", {g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4)});
    second = g.call("aten.hardswish.default", {g.conv2d("b", first, 4, 4)});
    sum = g.call("aten.add.Tensor", {first, second});
    model = g.finish({g.conv2d("c", sum, 4, 5)});
  }
};

TEST(Parts, EndInFrontOfAConvolutionByComputedWeights) {
  at::manual_seed(0);
  GraphBuilder g;
  Node* image = g.call("aten.hardswish.default", {g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4)});
  Node* mean = g.call("aten.mean.dim", {image, std::vector<int64_t>{2, 3}});
  Node* weight = g.call("aten.reshape.default", {g.linear("b", mean, 4, 20), std::vector<int64_t>{5, 4, 1, 1}});
  Node* conv = g.call("aten.conv2d.default", {image, weight});
  const auto whole = quantized_whole(g.finish({conv}), g.inputs(), {"decompose_computed_weights"});
  EXPECT_TRUE(
      test::fails_with([&] { lower(*whole); }, "[conv2d 'conv2d_1'] reads a computed value on a grid of 5 scales"));
  const Prefix prefix = largest_prefix(*whole, {});
  EXPECT_EQ(prefix.refused.size(), 1u);
  EXPECT_EQ(prefix.results.size(), 2u);
}

TEST(Parts, ComputeWhatLiesBetweenTwoNodes) {
  Branches net;
  const auto whole = quantized_whole(net.model, net.g.inputs());
  const auto part = part_of(*whole, {.from = {net.first->name()}, .to = {net.second->name(), net.sum->name()}});
  ASSERT_EQ(part->graph().placeholders().size(), 1u);
  std::map<std::string, at::Tensor> values;
  const at::NoGradGuard no_grad;
  whole->run_observed(net.g.inputs(), [&](const Node& node, const c10::IValue& value) {
    if (value.isTensor()) values[node.name()] = value.toTensor();
  });
  const std::vector<at::Tensor> got = part->run({values.at(net.first->name())});
  ASSERT_EQ(got.size(), 2u);
  const tflite::Model program = lower(*part);
  for (const auto* ends : {&program.inputs, &program.outputs}) {
    for (const int32_t end : *ends) EXPECT_EQ(program.tensors[static_cast<size_t>(end)].type, tflite::Type::kInt8);
  }
  const auto integers = integer::Executor(program).run_dequantized({values.at(net.first->name())});
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::allclose(integers[i], got[i], 0.0, 0.1)) << i;
}

TEST(Parts, KeepOtherInputsAndWritesInPlace) {
  at::manual_seed(1);
  GraphBuilder g;
  Node* x = g.call("aten.neg.default", {g.input({2, 3})});
  g.call("aten.relu_.default", {x});
  Node* sum = g.call("aten.add.Tensor", {x, g.input({2, 3})});
  Node* end = g.call("aten.exp.default", {sum});
  g.call("aten.zero_.default", {sum});
  const auto model = g.finish({end, sum});
  const at::Tensor wanted = (g.inputs()[0].neg().relu() + g.inputs()[1]).exp();
  const auto part = part_of(*model, {.from = {}, .to = {end->name()}});
  EXPECT_EQ(test::ops_of(*part), "neg.default relu_.default add.Tensor exp.default");
  EXPECT_TRUE(at::equal(part->run(g.inputs())[0], wanted));
  const auto tail = part_of(*model, {.from = {sum->name()}, .to = {end->name()}});
  EXPECT_EQ(test::ops_of(*tail), "exp.default");
}

TEST(Parts, NameWhatIsWrong) {
  Branches net;
  const auto cut = [&](const Cut& at) { return [&net, at] { part_of(*net.model, at); }; };
  EXPECT_TRUE(test::fails_with(cut({{}, {"nothing"}}), "[nothing] is no node of the model"));
  EXPECT_TRUE(test::fails_with(cut({{net.sum->name()}, {net.first->name()}}), "no result of the part needs it"));
  const std::string same = net.sum->name();
  EXPECT_TRUE(test::fails_with(cut({{same}, {same}}), "begins the part and ends it: nothing lies between"));
  EXPECT_TRUE(test::fails_with(cut({{}, {"p_a_weight_of_none", net.sum->name()}}), "is no node of the model"));
}

TEST(LargestPrefix, EndsInFrontOfWhatHasNoForm) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* x = g.call("aten.hardswish.default", {g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4)});
  Node* apart = g.conv2d("b", x, 4, 4);
  Node* spread = g.call("aten.lgamma.default", {x});
  const auto model = g.finish({g.call("aten.add.Tensor", {spread, apart})});
  const auto whole = quantized_whole(model, g.inputs());
  EXPECT_TRUE(test::fails_with([&] { lower(*whole); }, "--largest-prefix"));
  const Prefix prefix = largest_prefix(*whole, {});
  EXPECT_EQ(prefix.results, (std::vector<std::string>{x->name(), apart->name()}));
  ASSERT_EQ(prefix.refused.size(), 1u);
  EXPECT_NE(prefix.refused[0].find("aten.lgamma.default"), std::string::npos) << prefix.refused[0];
  EXPECT_EQ(lower(*prefix.part).outputs.size(), 2u);
}

// Nothing is refused: the prefix is the whole.
TEST(LargestPrefix, OfAWholeModelIsTheModel) {
  Branches net;
  const Prefix prefix = largest_prefix(*quantized_whole(net.model, net.g.inputs()), {});
  EXPECT_TRUE(prefix.refused.empty());
  EXPECT_EQ(prefix.results.size(), 1u);
}

TEST(LargestPrefix, OfNothingIsAnError) {
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.lgamma.default", {g.input({2, 3})})});
  EXPECT_TRUE(test::fails_with([&] { largest_prefix(*model, {}); }, "no operator of the model stands in front of"));
}

}  // namespace
}  // namespace octet
