// A chain of many steps, on a small stack: depth is no recursion.
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "octet/graph/constant_value.h"
#include "octet/graph/match.h"
#include "octet/graph/record.h"
#include "octet/graph/written_buffers.h"
#include "tests/support/small_stack.h"

namespace octet {
namespace {

using test::kDeep;
using test::on_small_stack;

std::shared_ptr<GraphModule> chain(const std::string& op) {
  auto module = std::make_shared<GraphModule>();
  Graph& graph = module->graph();
  Node* x = graph.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1, 2}});
  for (int64_t i = 0; i < kDeep; ++i) x = graph.call(op, {x});
  graph.output({x});
  return module;
}

TEST(DeepGraph, IsCopiedCheckedPrintedRunAndEmptied) {
  on_small_stack([] {
    const auto module = chain("aten.alias.default")->copy();
    propagate_shapes(*module);
    module->verify();
    EXPECT_GT(module->graph().text().size(), static_cast<size_t>(kDeep));
    EXPECT_EQ(calls_of(module->graph(), {"aten.alias.default"}).size(), static_cast<size_t>(kDeep));
    const at::Tensor x = at::rand({1, 2}).requires_grad_();
    const at::Tensor y = module->forward(x);
    y.sum().backward();
    EXPECT_TRUE(at::equal(x.grad(), at::ones({1, 2})));
    EXPECT_FALSE(is_constant_value(*module->graph().output()->inputs().front()));
    module->graph().output()->replace_input(module->graph().output()->inputs().front(), module->graph().find("x"));
    EXPECT_EQ(module->graph().eliminate_dead_code(), static_cast<size_t>(kDeep));
  });
}

TEST(DeepGraph, IsMatchedAndReplaced) {
  on_small_stack([] {
    const auto module = chain("aten.neg.default");
    const Pattern twice =
        Pattern::call({"aten.neg.default"}, {Pattern::call({"aten.neg.default"}, {Pattern::any("x")})});
    const auto double_negation = [](Graph& graph, const Match& match) {
      return graph.call("aten.alias.default", {match["x"]});
    };
    replace_all(module->graph(), twice, double_negation);
    module->verify();
    EXPECT_EQ(calls_of(module->graph(), {"aten.alias.default"}).size(), static_cast<size_t>(kDeep) / 2);
  });
}

TEST(DeepGraph, IsRecorded) {
  on_small_stack([] {
    const ForwardFunction forward = [](const Tensors& inputs) {
      at::Tensor x = inputs[0];
      for (int64_t i = 0; i < kDeep; ++i) x = at::alias(x);
      return Tensors{x};
    };
    const auto module = record(forward, {at::rand({1, 2})}, {});
    EXPECT_EQ(calls_of(module->graph(), {"aten.alias.default"}).size(), static_cast<size_t>(kDeep));
  });
}

TEST(DeepGraph, WritesIntoOneBufferAreFollowed) {
  on_small_stack([] {
    GraphModule module;
    Graph& graph = module.graph();
    Node* x = graph.placeholder("x");
    module.set_attr("state", at::zeros({2}), AttrKind::kBuffer);
    Node* state = graph.get_attr("state");
    Node* last = state;
    for (int64_t i = 0; i < kDeep; ++i) last = graph.call("aten.add_.Tensor", {last, x});
    for (int64_t i = 0; i < kDeep; ++i) graph.call("aten.copy_.default", {state, x});
    graph.output({x});
    EXPECT_EQ(written_buffers(module), std::vector<const Node*>{state});
    drop_last_writes(module);
    EXPECT_TRUE(calls_of(graph, {"aten.copy_.default"}).empty());
  });
}

// Steps that each read the two before them: the number of ways through them doubles with each.
TEST(DeepGraph, ValuesOfParametersAreFoundOnce) {
  GraphModule module;
  module.set_attr("w", at::ones({2}), AttrKind::kParameter);
  Node* left = module.graph().get_attr("w");
  Node* right = module.graph().call("aten.neg.default", {left});
  const auto step = [&] {
    Node* sum = module.graph().call("aten.add.Tensor", {left, right});
    right = module.graph().call("aten.sub.Tensor", {left, right});
    left = sum;
  };
  for (int i = 0; i < 15; ++i) step();
  EXPECT_TRUE(is_constant_value(*left));
  EXPECT_TRUE(constant_value(module, *left).defined());
  for (int i = 0; i < 40; ++i) step();
  EXPECT_FALSE(is_constant_value(*left));  // further from its parameters than a weight ever is
}

}  // namespace
}  // namespace octet
