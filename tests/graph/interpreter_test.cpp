#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <chrono>

#include "expect_error.h"
#include "octet/graph/graph_module.h"

namespace octet {
namespace {

using test::expect_error;
using Ints = std::vector<int64_t>;

TEST(Interpreter, GradientsEqualThoseOfDirectCalls) {
  at::manual_seed(1);
  GraphModule module;
  const at::Tensor weight = at::randn({4, 3, 3, 3}).set_requires_grad(true);
  const at::Tensor bias = at::randn({4}).set_requires_grad(true);
  module.set_attr("conv.weight", weight.detach().clone().set_requires_grad(true), AttrKind::kParameter);
  module.set_attr("conv.bias", bias.detach().clone().set_requires_grad(true), AttrKind::kParameter);
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* conv = g.call("aten.conv2d", {x, g.get_attr("conv.weight"), g.get_attr("conv.bias"), 2, 1});
  Node* relu = g.call("aten.relu_", {conv});
  Node* sum = g.call("aten.add.Tensor", {relu, 0.5});
  g.output({g.call("aten.softmax.int", {g.call("aten.flatten.using_ints", {sum, 1}), -1})});
  const at::Tensor input = at::randn({2, 3, 8, 8});
  const at::Tensor target = at::randn({2, 64});
  const at::Tensor direct =
      at::softmax(at::relu(at::conv2d(input, weight, bias, {2, 2}, {1, 1})).add(0.5).flatten(1), -1);
  const at::Tensor out = module.forward(input);
  EXPECT_TRUE(at::equal(out, direct));
  (out * target).sum().backward();
  (direct * target).sum().backward();
  EXPECT_TRUE(at::allclose(module.attr("conv.weight").grad(), weight.grad()));
  EXPECT_TRUE(at::allclose(module.attr("conv.bias").grad(), bias.grad()));
}

// As training and calibration run what was exported on images in rows.
TEST(Interpreter, ViewsOfImagesInChannelsLast) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* batch = g.call("aten.sym_size.int", {x, 0});
  Node* flat = g.call("aten.view", {g.call("aten.relu", {x}), std::vector<Arg>{batch, Arg(-1)}});
  Node* split = g.call("aten.view", {x, std::vector<Arg>{batch, Arg(2), Arg(2), Arg(3), Arg(5)}});
  g.output({flat, split});
  const at::Tensor rows = at::randn({2, 4, 3, 5});
  const at::Tensor last = rows.contiguous(at::MemoryFormat::ChannelsLast).set_requires_grad(true);
  const auto out = module.run({last});
  EXPECT_TRUE(at::equal(out[0], at::relu(rows).view({2, -1})));
  EXPECT_TRUE(at::equal(out[1], rows.view({2, 2, 2, 3, 5})));
  EXPECT_TRUE(out[1].is_alias_of(last)) << "no copy where the memory allows the view";
  out[0].sum().backward();
  EXPECT_TRUE(at::equal(last.grad(), at::gt(rows, 0).to(at::kFloat)));
}

TEST(Interpreter, ListsTuplesAndShapeInts) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* y = g.placeholder("y");
  Node* cat = g.call("aten.cat", {std::vector<Arg>{x, y, x}, 1});
  Node* halves = g.call("aten.split.Tensor", {cat, 2, 1});
  Node* batch = g.call("aten.sym_size.int", {x, 0});
  Node* view = g.call("aten.view", {g.get_item(halves, 0), std::vector<Arg>{batch, Arg(2)}});
  Node* indexed = g.call("aten.index.Tensor", {cat, std::vector<Arg>{Arg(), g.call("aten.argsort", {y, 0})}});
  g.output({view, indexed});
  module.verify();
  for (const int64_t size : {1, 3}) {
    const at::Tensor a = at::randn({size, 2});
    const at::Tensor b = at::randn({size, 2});
    const auto out = module.run({a, b});
    EXPECT_TRUE(at::equal(out[0], a));
    EXPECT_EQ(out[1].dim(), 3);
  }
}

TEST(Interpreter, NumbersBecomeWrappedScalars) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  g.output({g.call("aten.mul.Tensor", {x, 0.5}), g.call("aten.add.Tensor", {x, 1})});
  const auto half = module.run({at::ones({2}, at::kHalf)});
  EXPECT_EQ(half[0].scalar_type(), at::kHalf);  // a 0-dim double tensor would do the same; a 1-dim one would not
  const auto ints = module.run({at::ones({}, at::kInt)});
  EXPECT_EQ(ints[1].scalar_type(), at::kInt);  // unwrapped, the int64 scalar would win
}

TEST(Interpreter, InPlaceOnAttributes) {
  GraphModule module;
  module.set_attr("count", at::zeros({}, at::kLong), AttrKind::kBuffer);
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* count = g.get_attr("count");
  g.call("aten.add_.Tensor", {count, 1});
  g.output({g.call("aten.add.Tensor", {x, count})});
  EXPECT_EQ(module.forward(at::zeros({})).item<float>(), 1);
  EXPECT_EQ(module.forward(at::zeros({})).item<float>(), 2);
  module.set_attr("count", at::full({}, 10, at::kLong), AttrKind::kBuffer);
  EXPECT_EQ(module.forward(at::zeros({})).item<float>(), 11);
}

TEST(Interpreter, ErrorsNameTheNode) {
  GraphModule module;
  module.set_attr("fc.weight", at::ones({4, 3}), AttrKind::kParameter);
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* fc = g.call("aten.linear", {x, g.get_attr("fc.weight")}, {}, "fc");
  Node* parts = g.call("aten.chunk", {fc, 2, 1});
  Node* first = g.get_item(parts, 0);
  g.output({first});
  EXPECT_EQ(module.forward(at::ones({2, 3})).sizes(), (at::IntArrayRef{2, 2}));
  expect_error([&] { module.forward(at::ones({2, 5})); }, {"[linear 'fc']", "2x5"});
  expect_error([&] { module.run({}); }, {"[model]", "expected 1, got 0"});
  expect_error([&] { module.forward(at::Tensor()); }, {"[input 'x']", "undefined"});
  first->set_arg(1, 7);
  expect_error([&] { module.forward(at::ones({2, 3})); }, {"'getitem'", "below 2", "got 7"});
  module.erase_attr("fc.weight");
  expect_error([&] { module.forward(at::ones({2, 3})); }, {"'fc_weight'", "'fc.weight'"});
}

TEST(Interpreter, FollowsEdits) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* neg = g.call("aten.neg", {x});
  Node* out = g.output({neg});
  EXPECT_EQ(module.forward(at::ones({})).item<float>(), -1);
  Node* twice = nullptr;
  {
    const auto before = g.inserting_before(out);
    twice = g.call("aten.mul.Tensor", {neg, 2});
  }
  out->replace_input(neg, twice);
  EXPECT_EQ(module.forward(at::ones({})).item<float>(), -2);
}

TEST(Interpreter, ReleasesValuesAfterTheirLastReader) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* a = g.call("aten.neg", {x});
  Node* b = g.call("aten.neg", {a});
  g.output({b});
  c10::weak_intrusive_ptr<c10::TensorImpl> watched(at::ones({}).getIntrusivePtr());
  bool alive_at_end = true;
  module.run_observed({at::ones({})}, [&](const Node& node, const c10::IValue& value) {
    if (&node == a) watched = c10::weak_intrusive_ptr<c10::TensorImpl>(value.toTensor().getIntrusivePtr());
    if (node.kind() == NodeKind::kOutput) alive_at_end = watched.lock().defined();
  });
  EXPECT_FALSE(alive_at_end);
}

// The price of a node: a graph of 1000 tiny adds against the same adds called directly. Printed; bounded loosely, since
// machines differ.
TEST(Interpreter, OverheadPerNodeIsSmall) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kNodes = 1000;
  GraphModule module;
  module.set_attr("one", at::ones({}), AttrKind::kBuffer);
  Graph& g = module.graph();
  Node* value = g.placeholder("x");
  for (int64_t i = 0; i < kNodes; ++i) value = g.call("aten.add.Tensor", {value, g.get_attr("one")});
  g.output({value});
  const at::Tensor x = at::zeros({1});
  const at::Tensor one = at::ones({});
  const auto best = [](const std::function<void()>& work) {
    double fastest = 1e9;
    for (int i = 0; i < 20; ++i) {
      const auto start = std::chrono::steady_clock::now();
      work();
      fastest = std::min(fastest,
                         std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
    }
    return fastest;
  };
  module.forward(x);
  const double graph_us = best([&] { module.forward(x); }) / kNodes;
  const double direct_us = best([&] {
                             at::Tensor y = x;
                             for (int64_t i = 0; i < kNodes; ++i) y = at::add(y, one);
                           }) /
                           kNodes;
  RecordProperty("overhead_us_per_node", std::to_string(graph_us - direct_us));
  std::printf("add: %.2f us by the graph, %.2f us directly\n", graph_us, direct_us);
  EXPECT_LT(graph_us - direct_us, 20.0);
}

}  // namespace
}  // namespace octet
