#include "octet/targets/neutron/passes.h"

#include <gtest/gtest.h>

#include "octet/lowering/batch.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/operator_rules.h"
#include "tests/engine/graph_builder.h"

namespace octet::neutron {
namespace {

using test::GraphBuilder;
using test::ops_of;
using Ints = std::vector<int64_t>;

int64_t run(GraphModule& module, QuantizationMode mode, const std::string& mul_range = "observed") {
  const NeutronTargetSpec target("imxrt700");
  targets::QuantizerOptions options;
  options.mode = mode;
  options.settings = {{"mul_range", mul_range},
                      {"sigmoid_input", "observed"},
                      {"gelu", "float"},
                      {"norms", "float"},
                      {"unroll_rnn", "no"}};
  return targets::run_passes(module, default_passes(target.limits(), operator_rules(target), options));
}

TEST(NeutronPasses, OnePassSeesWhatAnotherMakes) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({2, 8, 10});
  Node* conv = g.call("aten.conv1d.default",
                      {x, g.parameter("c.weight", {6, 4, 3}), Arg(), Ints{1}, Ints{1}, Ints{1}, int64_t{2}});
  const auto module = g.finish({g.call("aten.relu.default", {g.batch_norm("n", conv, 6)})});
  const auto before = module->copy();
  EXPECT_GT(run(*module, QuantizationMode::kPtq), 2);
  // The fold gives the 1-D convolution a bias, which then becomes 2-D, is split, and takes the activation in front of
  // the cat.
  EXPECT_EQ(
      ops_of(*module),
      "unsqueeze.default slice.Tensor conv2d.default relu.default slice.Tensor conv2d.default relu.default cat.default "
      "squeeze.dim");
  EXPECT_TRUE(at::allclose(module->run(g.inputs()).at(0), before->run(g.inputs()).at(0), 1e-4, 1e-5));
  EXPECT_EQ(run(*module, QuantizationMode::kPtq), 0);
}

TEST(NeutronPasses, KeepsConvolutionsWithTheirBatchNormForTraining) {
  GraphBuilder g;
  const auto module = g.finish({g.batch_norm("n", g.conv2d("c", g.input({2, 4, 6, 6}), 4, 6, 2), 6)});
  EXPECT_EQ(run(*module, QuantizationMode::kQat), 0);
  EXPECT_EQ(ops_of(*module), "conv2d.default batch_norm.default");
}

// Multi-head attention as networks write it: one product for queries, keys and values, taken apart by unbind.
std::shared_ptr<GraphModule> attention(GraphBuilder& g) {
  Node* qkv = g.linear("qkv", g.input({1, 6, 8}), 8, 24);
  Node* heads = g.call("aten.reshape.default", {qkv, Ints{1, 6, 3, 2, 4}});
  Node* apart = g.call("aten.unbind.int", {g.call("aten.permute.default", {heads, Ints{2, 0, 3, 1, 4}}), int64_t{0}});
  std::vector<Arg> parts;
  for (const int64_t i : {0, 1, 2}) parts.emplace_back(g.item(apart, i));
  Node* attended = g.call("aten.scaled_dot_product_attention.default", std::move(parts));
  Node* turned = g.call("aten.transpose.int", {attended, int64_t{1}, int64_t{2}});
  Node* joined = g.call("aten.reshape.default", {g.call("aten.contiguous.default", {turned}), Ints{1, 6, 8}});
  return g.finish({g.linear("out", joined, 8, 8)});
}

TEST(NeutronPasses, AttentionKeepsTheBatchFree) {
  at::manual_seed(5);
  GraphBuilder g;
  const auto module = attention(g);
  make_batch_flexible(*module);
  const auto before = module->copy();
  EXPECT_GT(run(*module, QuantizationMode::kPtq), 0);
  EXPECT_EQ(run(*module, QuantizationMode::kPtq), 0);
  for (const int64_t batch : {1, 5}) {
    const at::Tensor x = at::randn({batch, 6, 8});
    EXPECT_TRUE(at::allclose(module->run({x}).at(0), before->run({x}).at(0), 1e-5, 1e-6)) << batch;
  }
}

TEST(NeutronPasses, ProductsKeepTheBatchFree) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* x = g.input({1, 3, 4, 4});
  Node* by_head = g.call("aten.matmul.default", {x, g.parameter("v", {3, 4, 4})});
  const std::vector<Arg> factors = {by_head, g.parameter("w", {3, 4, 6})};
  Node* by_einsum = g.call("aten.einsum.default", {"bhnd,hde->bnhe", Arg(factors)});
  const auto module = g.finish({by_einsum});
  make_batch_flexible(*module);
  const auto before = module->copy();
  EXPECT_GT(run(*module, QuantizationMode::kPtq), 0);
  for (const int64_t batch : {1, 3}) {
    const at::Tensor input = at::randn({batch, 3, 4, 4});
    EXPECT_TRUE(at::allclose(module->run({input}).at(0), before->run({input}).at(0), 1e-5, 1e-5)) << batch;
  }
}

// Without a value that changes its grid on the way: that would be a step between partitions, on the CPU.
void expect_whole(const std::function<std::shared_ptr<GraphModule>(GraphBuilder&)>& build,
                  NeutronOptions options = {}) {
  for (const bool is_qat : {false, true}) {
    GraphBuilder g;
    options.is_qat = is_qat;
    NeutronQuantizer quantizer(options);
    const targets::Placement placement = targets::check_model(*build(g), quantizer).placement;
    EXPECT_EQ(placement.partitions, 1) << is_qat;
    for (const targets::OperatorPlacement& row : placement.operators) EXPECT_EQ(row.reason, "") << is_qat;
  }
}

TEST(NeutronPasses, AttentionIsOnePartition) { expect_whole(attention); }

std::shared_ptr<GraphModule> lstm(GraphBuilder& g) {
  const std::vector<Arg> states = {g.input({1, 2, 5}), g.input({1, 2, 5})};
  const std::vector<Arg> params = {g.parameter("w_ih", {20, 4}), g.parameter("w_hh", {20, 5}),
                                   g.parameter("b_ih", {20}), g.parameter("b_hh", {20})};
  Node* all = g.call("aten.lstm.input",
                     {g.input({2, 3, 4}), Arg(states), Arg(params), true, int64_t{1}, 0.0, false, false, true});
  return g.finish({g.item(all, 0), g.item(all, 1), g.item(all, 2)});
}

TEST(NeutronPasses, RecurrentLayersAreWrittenOutWhereAskedFor) {
  NeutronOptions options;
  options.unroll_rnn = true;
  expect_whole(lstm, options);
  GraphBuilder g;
  NeutronQuantizer quantizer((NeutronOptions()));
  EXPECT_EQ(targets::check_model(*lstm(g), quantizer).placement.on_cpu(), 1);
}

std::shared_ptr<GraphModule> norms(GraphBuilder& g) {
  Node* tokens = g.call("aten.layer_norm.default", {g.linear("l", g.input({1, 5, 12}), 12, 12), Ints{12},
                                                    g.parameter("w", {12}), g.parameter("b", {12})});
  Node* image = g.call("aten.group_norm.default", {g.conv2d("c", g.input({1, 4, 6, 6}), 4, 6), int64_t{3},
                                                   g.parameter("gw", {6}), g.parameter("gb", {6})});
  return g.finish({g.linear("h", tokens, 12, 4), g.call("aten.relu.default", {image})});
}

TEST(NeutronPasses, NormsAreOnTheNpuWhereAskedFor) {
  NeutronOptions options;
  options.integer_norms = true;
  expect_whole(norms, options);
  GraphBuilder g;
  NeutronQuantizer quantizer((NeutronOptions()));
  EXPECT_EQ(targets::check_model(*norms(g), quantizer).placement.on_cpu(), 2);
}

TEST(NeutronPasses, NormsInIntegersAreCloseAndKeepTheBatchFree) {
  at::manual_seed(5);
  GraphBuilder g;
  const auto module = norms(g);
  make_batch_flexible(*module);
  const auto before = module->copy();
  const std::vector<at::Tensor> inputs = {at::randn({3, 5, 12}), at::randn({3, 4, 6, 6})};
  NeutronOptions options;
  options.integer_norms = true;
  NeutronQuantizer quantizer(options);
  const auto quantized = calibrate_and_quantize(module, {inputs}, quantizer);
  const auto expected = before->run(inputs), results = quantized->run(inputs);
  for (size_t i = 0; i < expected.size(); ++i) {
    const double noise = (results[i] - expected[i]).norm().item<double>();
    EXPECT_GT(20 * std::log10(expected[i].norm().item<double>() / noise), 25.0) << i;
  }
}

// A row of a tenth of another's deviation has a hundredth of its sum of squares: three levels of the grid
// that both would have.
TEST(NeutronPasses, NormsInIntegersHoldRowsOfUnequalDeviation) {
  at::manual_seed(5);
  GraphBuilder g;
  const auto module = g.finish({g.call("aten.layer_norm.default", {g.input({1, 64, 48}), Ints{48}})});
  const auto before = module->copy();
  const at::Tensor deviations = at::logspace(-1, 0, 64).reshape({1, 64, 1});
  const std::vector<at::Tensor> inputs = {at::randn({1, 64, 48}) * deviations};
  NeutronOptions options;
  options.integer_norms = true;
  NeutronQuantizer quantizer(options);
  const at::Tensor result = calibrate_and_quantize(module, {inputs}, quantizer)->run(inputs).at(0);
  const at::Tensor expected = before->run(inputs).at(0);
  const double noise = (result - expected).norm().item<double>();
  EXPECT_GT(20 * std::log10(expected.norm().item<double>() / noise), 25.8);
}

// On the reference's fixed range of mul a product cuts its inputs off.
TEST(NeutronPasses, TakesActivationsApartOnObservedRangesAlone) {
  for (const std::string op : {"aten.silu.default", "aten.hardsigmoid.default", "aten.mish.default"}) {
    GraphBuilder g;
    const auto module = g.finish({g.call(op, {g.input({1, 4, 6, 6})})});
    EXPECT_EQ(run(*module, QuantizationMode::kPtq, "reference"), 0) << op;
    EXPECT_GT(run(*module, QuantizationMode::kPtq), 0) << op;
    EXPECT_EQ(run(*module, QuantizationMode::kPtq), 0) << op;
  }
}

// A gate that is 0 or 1 nearly everywhere: its input's grid has a step of several units.
TEST(NeutronPasses, HardSigmoidsOfWideInputsReachTheirEnds) {
  at::manual_seed(3);
  GraphBuilder g;
  const auto module = g.finish({g.call("aten.hardsigmoid.default", {g.call("aten.neg.default", {g.input({4, 500})})})});
  const auto before = module->copy();
  const std::vector<at::Tensor> inputs = {at::randn({4, 500}) * 100};
  NeutronQuantizer quantizer((NeutronOptions()));
  const at::Tensor expected = before->run(inputs).at(0);
  const at::Tensor result = calibrate_and_quantize(module, {inputs}, quantizer)->run(inputs).at(0);
  EXPECT_LT((result - expected).norm().item<double>(), 0.05 * expected.norm().item<double>());
}

// On a grid with its result, a hundred times as wide, the terms would be a few levels.
TEST(NeutronPasses, TermsOfASumKeepTheirGrid) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* terms = g.call("aten.relu.default", {g.input({4, 6, 200})});
  const auto module = g.finish({g.call("aten.sum.dim_IntList", {terms, Ints{2}})});
  const auto before = module->copy();
  NeutronQuantizer quantizer((NeutronOptions()));
  const at::Tensor expected = before->run(g.inputs()).at(0);
  const at::Tensor result = calibrate_and_quantize(module, {g.inputs()}, quantizer)->run(g.inputs()).at(0);
  EXPECT_LT((result - expected).norm().item<double>(), 0.005 * expected.norm().item<double>());
}

// A linear of three dimensions, flattened for a BatchNorm, as LeViT has it.
TEST(NeutronPasses, FoldsBatchNormThroughAFlatten) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* flat = g.call("aten.flatten.using_ints", {g.linear("l", g.input({2, 5, 4}), 4, 6), int64_t{0}, int64_t{1}});
  const auto module = g.finish({g.batch_norm("n", flat, 6)});
  const auto before = module->copy();
  run(*module, QuantizationMode::kPtq);
  EXPECT_EQ(ops_of(*module), "flatten.using_ints linear.default");
  EXPECT_TRUE(at::allclose(module->run(g.inputs()).at(0), before->run(g.inputs()).at(0), 1e-4, 1e-5));
}

// Three branches of a re-parametrized block, one of them a BatchNorm alone.
TEST(NeutronPasses, MakesOneConvolutionOfARepVggBlock) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.input({2, 4, 6, 6});
  Node* wide = g.batch_norm("a", g.conv2d("c", x, 4, 4), 4);
  Node* point = g.batch_norm(
      "b", g.call("aten.conv2d.default", {x, g.parameter("p.weight", {4, 4, 1, 1}), Arg(), Ints{1, 1}, Ints{0, 0}}), 4);
  Node* sum = g.call("aten.add.Tensor", {g.call("aten.add.Tensor", {wide, point}), g.batch_norm("i", x, 4)});
  const auto module = g.finish({g.call("aten.relu.default", {sum})});
  const auto before = module->copy();
  run(*module, QuantizationMode::kPtq);
  EXPECT_EQ(ops_of(*module), "conv2d.default relu.default");
  EXPECT_TRUE(at::allclose(module->run(g.inputs()).at(0), before->run(g.inputs()).at(0), 1e-4, 1e-5));
  const auto training = before->copy();
  run(*training, QuantizationMode::kQat);
  EXPECT_EQ(ops_of(*training),
            "conv2d.default batch_norm.default conv2d.default batch_norm.default add.Tensor conv2d.default "
            "batch_norm.default add.Tensor relu.default");
}
struct WholeGraph {
  std::string name;
  std::function<std::shared_ptr<GraphModule>(GraphBuilder&)> build;
};

void PrintTo(const WholeGraph& graph, std::ostream* out) { *out << graph.name; }

// What networks hold between convolutions and linears, and the NPU has no operator for as it stands.
std::vector<WholeGraph> whole_graphs() {
  const auto between = [](const std::function<Node*(GraphBuilder&, Node*)>& part) {
    return [=](GraphBuilder& g) {
      Node* inside = part(g, g.conv2d("c", g.input({1, 3, 10, 10}), 3, 8));
      return g.finish({g.conv2d("d", inside, 8, 8)});
    };
  };
  const auto behind_linear = [](const std::function<Node*(GraphBuilder&, Node*, Node*)>& part) {
    return [=](GraphBuilder& g) {
      Node* x = g.input({1, 6, 8});
      return g.finish({part(g, g.linear("l", x, 8, 8), x)});
    };
  };
  return {
      {"channel_shuffle", between([](GraphBuilder& g, Node* x) {
         Node* apart = g.call("aten.view.default", {x, Ints{1, 2, 4, 10, 10}});
         Node* turned = g.call("aten.transpose.int", {apart, int64_t{1}, int64_t{2}});
         return g.call("aten.view.default", {g.call("aten.contiguous.default", {turned}), Ints{1, 8, 10, 10}});
       })},
      {"max_pool_that_rounds_nothing_up", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.max_pool2d.default", {x, Ints{2, 2}, Ints{2, 2}}, {{"ceil_mode", true}});
       })},
      {"average_that_leaves_nothing_out", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.avg_pool2d.default", {x, Ints{2, 2}, Ints{2, 2}},
                       {{"ceil_mode", true}, {"count_include_pad", false}});
       })},
      {"all_channels", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.slice.Tensor", {g.call("aten.alias.default", {x}), int64_t{1}, int64_t{0}, int64_t{8}});
       })},
      {"dropout_of_channels", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.feature_dropout.default",
                       {g.call("aten.alpha_dropout.default", {x, 0.5, false}), 0.5, false});
       })},
      {"gate_that_is_expanded", between([](GraphBuilder& g, Node* x) {
         Node* gate = g.call("aten.sigmoid.default", {g.call("aten.mean.dim", {x, Ints{2, 3}, true})});
         return g.call("aten.mul.Tensor", {x, g.call("aten.expand_as.default", {gate, x})});
       })},
      {"view_as_another", behind_linear([](GraphBuilder& g, Node* y, Node* x) {
         return g.call("aten.reshape_as.default", {g.call("aten.flatten.using_ints", {y, int64_t{0}, int64_t{1}}), x});
       })},
      {"unbind_and_sum", behind_linear([](GraphBuilder& g, Node* y, Node*) {
         Node* parts =
             g.call("aten.unbind.int", {g.call("aten.unflatten.int", {y, int64_t{2}, Ints{2, 4}}), int64_t{2}});
         return g.call("aten.add.Tensor", {g.item(parts, 0), g.item(parts, 1)});
       })},
      {"one_minus", behind_linear([](GraphBuilder& g, Node* y, Node*) {
         return g.call("aten.rsub.Scalar", {y, 1.0});
       })},
      {"stack_of_selects", behind_linear([](GraphBuilder& g, Node* y, Node*) {
         const std::vector<Arg> parts = {g.call("aten.select.int", {y, int64_t{1}, int64_t{0}}),
                                         g.call("aten.select.int", {y, int64_t{1}, int64_t{-1}})};
         return g.call("aten.stack.default", {Arg(parts), int64_t{1}});
       })},
      {"softmax_over_positions", behind_linear([](GraphBuilder& g, Node* y, Node*) {
         return g.call("aten.softmax.int", {y, int64_t{1}});
       })},
      {"mixing_of_positions", behind_linear([](GraphBuilder& g, Node* y, Node*) {
         return g.call("aten.matmul.default", {g.parameter("m", {5, 6}), y});
       })},
      {"gru_cell",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.gru_cell.default", {g.input({2, 4}), g.input({2, 5}), g.parameter("w", {15, 4}),
                                                           g.parameter("u", {15, 5}), g.parameter("b", {15})})});
       }},
      {"scores_beside_boxes", between([](GraphBuilder& g, Node* x) {
         Node* gate = g.call("aten.sigmoid.default", {g.conv2d("e", x, 8, 4)});
         Node* tangent = g.call("aten.tanh.default", {g.conv2d("f", x, 8, 4)});
         return g.call("aten.cat.default",
                       {Arg(std::vector<Arg>{g.call("aten.slice.Tensor", {x, int64_t{1}, int64_t{0}, int64_t{4}}),
                                             g.call("aten.maximum.default", {gate, tangent})}),
                        int64_t{1}});
       })},
      {"sum_of_shares", between([](GraphBuilder& g, Node* x) {
         Node* share = g.call("aten.sigmoid.default", {x});
         return g.call("aten.mul.Tensor", {x, g.call("aten.sum.dim_IntList", {share, Ints{2, 3}, true})});
       })},
      {"bilinear_by_corners", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.upsample_bilinear2d.vec", {x, Ints{20, 20}, true, Arg()});
       })},
      {"nearest_by_three", between([](GraphBuilder& g, Node* x) {
         return g.call("aten.upsample_nearest2d.vec", {x, Ints{30, 15}, Arg()});
       })},
      {"shift_of_channels_in_zeros", between([](GraphBuilder& g, Node* x) {
         Node* zeros = g.call("aten.zeros_like.default", {x});
         const std::vector<Arg> parts = {g.call("aten.slice.Tensor", {zeros, int64_t{2}, int64_t{0}, int64_t{1}}),
                                         g.call("aten.slice.Tensor", {x, int64_t{2}, int64_t{0}, int64_t{9}})};
         return g.call("aten.cat.default", {Arg(parts), int64_t{2}});
       })},
      {"whole_numbers_added", between([](GraphBuilder& g, Node* x) {
         Node* levels = g.tensor("levels", at::arange(10, at::kLong), AttrKind::kConstant);
         return g.call("aten.add.Tensor", {x, levels});
       })},
      {"shrinks", between([](GraphBuilder& g, Node* x) {
         Node* inner = g.call("aten.rrelu.default", {g.call("aten.softshrink.default", {x, 0.25})});
         return g.call("aten.log_sigmoid.default", {inner});
       })},
      {"scores_by_einsum", behind_linear([](GraphBuilder& g, Node* y, Node* x) {
         const std::vector<Arg> factors = {y, g.linear("k", x, 8, 8)};
         return g.call("aten.softmax.int",
                       {g.call("aten.einsum.default", {"bid,bjd->bij", Arg(factors)}), int64_t{-1}});
       })},
  };
}

class WholeOnTheNpu : public testing::TestWithParam<WholeGraph> {};

TEST_P(WholeOnTheNpu, InOnePartition) { expect_whole(GetParam().build); }

INSTANTIATE_TEST_SUITE_P(Graphs, WholeOnTheNpu, testing::ValuesIn(whole_graphs()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace octet::neutron
