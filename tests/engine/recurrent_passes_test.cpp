// Recurrent cells and layers, taken apart.
#include <gtest/gtest.h>

#include "octet/lowering/batch.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

constexpr int64_t kIn = 4, kHidden = 5;

struct Layers {
  std::string op;  // "lstm"
  int64_t gates = 1;
  int64_t count = 1;
  bool bidirectional = false;
  bool batch_first = true;
  bool biases = true;
  int64_t steps = 3;
  double dropout = 0.0;
  bool train = false;
};

std::vector<Arg> parameters(GraphBuilder& g, const std::string& name, int64_t gates, int64_t in, bool biases) {
  std::vector<Arg> all = {g.parameter(name + "w_ih", {gates * kHidden, in}),
                          g.parameter(name + "w_hh", {gates * kHidden, kHidden})};
  if (!biases) return all;
  all.emplace_back(g.parameter(name + "b_ih", {gates * kHidden}));
  all.emplace_back(g.parameter(name + "b_hh", {gates * kHidden}));
  return all;
}

std::shared_ptr<GraphModule> layers(GraphBuilder& g, const Layers& of) {
  const int64_t directions = of.bidirectional ? 2 : 1;
  std::vector<Arg> params;
  for (int64_t i = 0; i < of.count * directions; ++i) {
    const int64_t in = i < directions ? kIn : kHidden * directions;
    for (Arg& each : parameters(g, str("p", i, "."), of.gates, in, of.biases)) params.push_back(std::move(each));
  }
  Node* x = g.input(of.batch_first ? Ints{2, of.steps, kIn} : Ints{of.steps, 2, kIn});
  const auto state = [&] { return Arg(g.input({of.count * directions, 2, kHidden})); };
  const bool is_lstm = of.op == "lstm";
  Arg hx = state();
  if (is_lstm) hx = Arg(std::vector<Arg>{hx, state()});
  Node* all = g.call("aten." + of.op + ".input",
                     {x, hx, Arg(params), of.biases, of.count, of.dropout, of.train, of.bidirectional, of.batch_first});
  std::vector<Arg> results = {g.item(all, 0), g.item(all, 1)};
  if (is_lstm) results.emplace_back(g.item(all, 2));
  return g.finish(std::move(results));
}

class Unrolled : public testing::TestWithParam<Layers> {};

TEST_P(Unrolled, GivesWhatTheLayersGive) {
  at::manual_seed(11);
  GraphBuilder g;
  const auto module = layers(g, GetParam());
  const auto before = module->copy();
  EXPECT_TRUE(unroll_recurrent_layers(*module));
  EXPECT_FALSE(unroll_recurrent_layers(*module));
  module->graph().verify();
  for (const Node* node : module->graph().nodes()) EXPECT_FALSE(node->is_call("aten." + GetParam().op + ".input"));
  test::expect_same_results(*before, *module, g.inputs());
  const auto measured = module->copy();
  propagate_shapes(*measured, g.inputs());
  for (const Node* node : module->graph().nodes()) {
    EXPECT_EQ(node->meta(), measured->graph().find(node->name())->meta()) << node->name();
  }
}

INSTANTIATE_TEST_SUITE_P(Recurrent, Unrolled,
                         testing::Values(Layers{"lstm", 4}, Layers{"lstm", 4, 2, true},
                                         Layers{"lstm", 4, 1, false, false, false, 1}, Layers{"gru", 3},
                                         Layers{"gru", 3, 3, false, false}, Layers{"gru", 3, 1, true, true, false},
                                         Layers{"rnn_tanh", 1, 2}, Layers{"rnn_relu", 1, 1, true, false},
                                         Layers{"gru", 3, 2, false, true, true, 2, 0.5, false}),
                         [](const auto& test) { return str(test.param.op, "_", test.index); });

TEST(UnrolledDeclines, WhatItCannotWriteOut) {
  for (const Layers& of :
       {Layers{"gru", 3, 2, false, true, true, 3, 0.5, true}, Layers{"lstm", 4, 1, false, true, true, 513}}) {
    GraphBuilder g;
    const auto module = layers(g, of);
    EXPECT_FALSE(unroll_recurrent_layers(*module)) << of.steps;
  }
}

TEST(UnrolledBatch, StaysFree) {
  at::manual_seed(3);
  GraphBuilder g;
  std::vector<Arg> params = parameters(g, "p.", 3, kIn, true);
  Node* x = g.input({1, 4, kIn});
  Node* zeros =
      g.call("aten.unsqueeze.default",
             {g.call("aten.mul.Tensor", {g.call("aten.linear.default", {g.call("aten.mean.dim", {x, Ints{1}}),
                                                                        g.parameter("h", {kHidden, kIn}), Arg()}),
                                         0.0}),
              int64_t{0}});
  Node* all = g.call("aten.gru.input", {x, zeros, Arg(params), true, int64_t{1}, 0.0, false, false, true});
  const auto module = g.finish({g.item(all, 0)});
  make_batch_flexible(*module);
  const auto before = module->copy();
  EXPECT_TRUE(unroll_recurrent_layers(*module));
  test::expect_same_results(*before, *module, {at::randn({3, 4, kIn})});
}

std::shared_ptr<GraphModule> cell(GraphBuilder& g, const std::string& op, int64_t gates, bool biases) {
  std::vector<Arg> args = {g.input({3, kIn}), g.input({3, kHidden})};
  if (op == "lstm_cell") args[1] = Arg(std::vector<Arg>{args[1], g.input({3, kHidden})});
  for (Arg& each : parameters(g, "c.", gates, kIn, biases)) args.push_back(std::move(each));
  Node* node = g.call("aten." + op + ".default", std::move(args));
  if (op == "lstm_cell") return g.finish({g.item(node, 0), g.item(node, 1)});
  return g.finish({node});
}

std::vector<test::PassCase> cells() {
  const auto of = [](const std::string& op, int64_t gates, bool biases) {
    return [=](GraphBuilder& g) { return cell(g, op, gates, biases); };
  };
  return {{"rnn_tanh", of("rnn_tanh_cell", 1, true), decompose_recurrent_cells,
           "linear.default linear.default add.Tensor tanh.default"},
          {"rnn_relu", of("rnn_relu_cell", 1, false), decompose_recurrent_cells,
           "linear.default linear.default add.Tensor relu.default"}};
}

class CellTest : public testing::TestWithParam<test::PassCase> {};
TEST_P(CellTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Recurrent, CellTest, testing::ValuesIn(cells()),
                         [](const auto& test) { return test.param.name; });

TEST(RecurrentCells, GiveWhatTheyGave) {
  at::manual_seed(5);
  for (const auto& [op, gates] : {std::pair("lstm_cell", int64_t{4}), std::pair("gru_cell", int64_t{3})}) {
    for (const bool biases : {true, false}) {
      GraphBuilder g;
      const auto module = cell(g, op, gates, biases);
      const auto before = module->copy();
      EXPECT_TRUE(decompose_recurrent_cells(*module)) << op;
      EXPECT_FALSE(decompose_recurrent_cells(*module)) << op;
      module->graph().verify();
      test::expect_same_results(*before, *module, g.inputs());
    }
  }
}

}  // namespace
}  // namespace octet::targets
