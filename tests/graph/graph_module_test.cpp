#include "octet/graph/graph_module.h"

#include <gtest/gtest.h>
#include <torch/serialize/archive.h>

#include <sstream>

#include "expect_error.h"

namespace octet {
namespace {

using test::expect_error;

std::vector<std::string> keys(const torch::OrderedDict<std::string, at::Tensor>& dict) { return dict.keys(); }

// conv-bn-dropout, all in train mode.
std::shared_ptr<GraphModule> conv_bn_dropout() {
  auto module = std::make_shared<GraphModule>();
  module->set_attr("features.0.weight", at::randn({4, 3, 3, 3}).set_requires_grad(true), AttrKind::kParameter);
  module->set_attr("features.1.weight", at::ones({4}).set_requires_grad(true), AttrKind::kParameter);
  module->set_attr("features.1.bias", at::zeros({4}).set_requires_grad(true), AttrKind::kParameter);
  module->set_attr("features.1.running_mean", at::zeros({4}), AttrKind::kBuffer);
  module->set_attr("features.1.running_var", at::ones({4}), AttrKind::kBuffer);
  module->set_attr("features.1.num_batches_tracked", at::zeros({}, at::kLong), AttrKind::kBuffer);
  Graph& g = module->graph();
  Node* x = g.placeholder("x");
  Node* conv = g.call("aten.conv2d", {x, g.get_attr("features.0.weight")});
  g.call("aten.add_.Tensor", {g.get_attr("features.1.num_batches_tracked"), 1});
  Node* bn = g.call("aten.batch_norm", {conv, g.get_attr("features.1.weight"), g.get_attr("features.1.bias"),
                                        g.get_attr("features.1.running_mean"), g.get_attr("features.1.running_var"),
                                        true, 0.03, 1e-3, false});
  Node* drop = g.call("aten.dropout", {bn, 0.3, true});
  g.output({drop});
  return module;
}

TEST(GraphModule, IsATorchModuleWithDottedNames) {
  auto module = conv_bn_dropout();
  EXPECT_EQ(keys(module->named_parameters()),
            (std::vector<std::string>{"features.0.weight", "features.1.weight", "features.1.bias"}));
  EXPECT_EQ(keys(module->named_buffers()),
            (std::vector<std::string>{"features.1.running_mean", "features.1.running_var",
                                      "features.1.num_batches_tracked"}));
  EXPECT_EQ(module->parameters().size(), 3U);
  module->to(at::kDouble);
  EXPECT_EQ(module->attr("features.0.weight").scalar_type(), at::kDouble);
  EXPECT_EQ(module->run({at::randn({2, 3, 5, 5}, at::kDouble)})[0].scalar_type(), at::kDouble);
  module->verify();
}

TEST(GraphModule, TrainAndEvalFlipFlagsAndKeepNumbers) {
  auto module = conv_bn_dropout();
  Graph& g = module->graph();
  const auto flags = [&] {
    return std::pair(g.find("batch_norm")->arg("training").to_bool(), g.find("dropout")->arg("train").to_bool());
  };
  module->eval();
  EXPECT_FALSE(module->is_training());
  EXPECT_EQ(flags(), std::pair(false, false));
  const at::Tensor x = at::randn({2, 3, 5, 5});
  EXPECT_TRUE(at::equal(module->forward(x), module->forward(x)));
  module->train();
  EXPECT_EQ(flags(), std::pair(true, true));
  EXPECT_EQ(g.find("dropout")->arg("p").to_double(), 0.3);
  EXPECT_EQ(g.find("batch_norm")->arg("eps").to_double(), 1e-3);
  EXPECT_EQ(g.find("batch_norm")->arg("momentum").to_double(), 0.03);
}

TEST(GraphModule, BatchNormWithoutStatisticsStaysAsItIs) {
  GraphModule module;
  Graph& g = module.graph();
  Node* bn = g.call("aten.batch_norm", {g.placeholder("x"), Arg(), Arg(), Arg(), Arg(), true, 0.1, 1e-5, false});
  g.output({bn});
  module.eval();
  EXPECT_TRUE(bn->arg("training").to_bool());
  EXPECT_NEAR(module.forward(at::randn({8, 3, 4, 4}) + 5).mean().item<float>(), 0, 1e-4);
}

TEST(GraphModule, SetReplaceEraseAndTie) {
  GraphModule module;
  module.set_attr("head.weight", at::ones({2, 2}), AttrKind::kParameter);
  module.set_attr("head.scale", at::ones({}), AttrKind::kConstant);
  module.tie_attr("tail.weight", "head.weight");
  EXPECT_TRUE(module.has_attr("tail.weight"));
  EXPECT_TRUE(module.attr("tail.weight").is_same(module.attr("head.weight")));
  EXPECT_EQ(module.attr_kind("tail.weight"), AttrKind::kParameter);
  module.set_attr("tail.weight", at::zeros({2, 2}), AttrKind::kBuffer);  // through the alias, and another kind
  EXPECT_EQ(module.attr("head.weight").sum().item<float>(), 0);
  EXPECT_EQ(module.parameters().size(), 0U);
  EXPECT_EQ(module.buffers().size(), 2U);
  EXPECT_EQ(module.attr_names(), (std::vector<std::string>{"head.weight", "head.scale"}));
  EXPECT_EQ(module.free_name("head.weight"), "head.weight_1");
  module.tie_attr("more.weight", "tail.weight");  // an alias of an alias
  EXPECT_EQ(module.aliases().at("more.weight"), "head.weight");
  module.erase_attr("more.weight");
  EXPECT_TRUE(module.has_attr("head.weight"));
  module.erase_attr("head.weight");
  EXPECT_FALSE(module.has_attr("tail.weight"));
  expect_error([&] { module.attr("head.weight"); }, {"head.weight", "no such"});
  expect_error([&] { module.erase_attr("head.weight"); }, {"head.weight"});
  expect_error([&] { module.tie_attr("a", "b"); }, {"[a]", "'b'", "does not exist"});
  expect_error([&] { module.set_attr("a", at::Tensor(), AttrKind::kBuffer); }, {"[a]", "undefined"});
  expect_error([&] { module.set_attr("a..b", at::ones({}), AttrKind::kBuffer); }, {"a..b"});
}

TEST(GraphModule, SavesAndLoadsAsTorchModulesDo) {
  auto module = conv_bn_dropout();
  module->forward(at::randn({4, 3, 5, 5}));  // statistics that are no defaults
  std::stringstream bytes;
  torch::serialize::OutputArchive out;
  module->save(out);
  out.save_to(bytes);
  auto other = conv_bn_dropout();
  torch::serialize::InputArchive in;
  in.load_from(bytes);
  other->load(in);
  EXPECT_EQ(other->attr("features.1.num_batches_tracked").item<int64_t>(), 1);
  module->eval();
  other->eval();
  const at::Tensor x = at::randn({2, 3, 5, 5});
  EXPECT_TRUE(at::equal(module->forward(x), other->forward(x)));
}

TEST(GraphModule, EraseUnused) {
  auto module = conv_bn_dropout();
  module->set_attr("old.weight", at::ones({1}), AttrKind::kParameter);
  module->erase_unused();
  EXPECT_FALSE(module->has_attr("old.weight"));
  EXPECT_EQ(module->attr_names().size(), 6U);
  for (const auto& child : module->named_children()) EXPECT_NE(child.key(), "old");
}

TEST(GraphModule, CopyIsDeep) {
  auto module = conv_bn_dropout();
  module->tie_attr("twin.weight", "features.1.weight");
  module->facts()["source"] = "test";
  module->eval();
  auto copy = module->copy();
  EXPECT_EQ(copy->graph().text(), module->graph().text());
  EXPECT_EQ(copy->facts().at("source"), "test");
  EXPECT_EQ(copy->aliases(), module->aliases());
  EXPECT_FALSE(copy->is_training());
  EXPECT_TRUE(copy->attr("features.0.weight").requires_grad());
  EXPECT_FALSE(copy->attr("features.1.running_mean").requires_grad());
  const at::Tensor x = at::randn({1, 3, 5, 5});
  EXPECT_TRUE(at::equal(copy->forward(x), module->forward(x)));
  const at::NoGradGuard no_grad;
  copy->attr("features.0.weight").zero_();
  EXPECT_GT(module->attr("features.0.weight").abs().sum().item<float>(), 0);
  copy->train();
  EXPECT_FALSE(module->is_training());
  EXPECT_FALSE(module->graph().find("dropout")->arg("train").to_bool());
}

// A module that doubles, counts its calls in a buffer and may fail.
class Doubler : public CallableModule {
 public:
  Doubler() : calls(register_buffer("calls", at::zeros({}, at::kLong))) {}
  at::Tensor call(const std::vector<at::Tensor>& inputs) override {
    calls.add_(1);
    if (fails) throw std::runtime_error("first line\nsecond line");
    return inputs.size() > 1 && !inputs[1].defined() ? inputs[0] * 2 : inputs[0];
  }
  std::shared_ptr<CallableModule> copy() const override {
    auto twin = std::make_shared<Doubler>();
    twin->calls.copy_(calls);
    twin->train(is_training());
    return twin;
  }
  at::Tensor calls;
  bool fails = false;
};

TEST(GraphModule, CallsSubmodules) {
  GraphModule module;
  auto doubler = std::make_shared<Doubler>();
  module.set_callable("observers.0", doubler);
  module.set_callable("observers.1", doubler);  // shared
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* a = g.call_module("observers.0", {x, Arg()});
  g.output({g.call_module("observers.1", {a, Arg()})});
  EXPECT_EQ(module.forward(at::ones({1})).item<float>(), 4);
  EXPECT_EQ(doubler->calls.item<int64_t>(), 2);
  EXPECT_EQ(module.named_buffers().size(), 2U);
  doubler->eval();
  auto copy = module.copy();
  EXPECT_EQ(copy->callable("observers.0"), copy->callable("observers.1"));
  EXPECT_NE(copy->callable("observers.0"), module.callable("observers.0"));
  EXPECT_FALSE(copy->callable("observers.0")->is_training());  // its own mode, not the parent's
  copy->forward(at::ones({1}));
  EXPECT_EQ(doubler->calls.item<int64_t>(), 2);
  doubler->fails = true;
  expect_error([&] { module.forward(at::ones({1})); }, {"'_0'", "first line second line"});
  expect_error([&] { module.set_attr("observers.0.x", at::ones({}), AttrKind::kBuffer); }, {"callable"});
  g.find("_0")->set_target("observers.9");
  expect_error([&] { module.verify(); }, {"observers.9"});
  expect_error([&] { module.callable("observers.9"); }, {"observers.9"});
}

TEST(Shapes, PropagateLeavesBuffersAlone) {
  auto module = conv_bn_dropout();
  const at::Tensor x = at::randn({2, 3, 6, 6});
  propagate_shapes(*module, {x});
  EXPECT_EQ(module->attr("features.1.running_mean").abs().sum().item<float>(), 0);
  EXPECT_EQ(module->attr("features.1.num_batches_tracked").item<int64_t>(), 0);
  EXPECT_EQ(module->graph().find("batch_norm")->sizes(), (std::vector<int64_t>{2, 4, 4, 4}));
  EXPECT_EQ(module->graph().find("x")->meta()->text(), "float32[2, 3, 6, 6]");
  module->forward(x);
  EXPECT_GT(module->attr("features.1.running_mean").abs().sum().item<float>(), 0);
  EXPECT_EQ(module->attr("features.1.num_batches_tracked").item<int64_t>(), 1);
  const auto inputs = example_inputs(*module, 5);
  EXPECT_EQ(inputs[0].sizes(), (at::IntArrayRef{5, 3, 6, 6}));
  propagate_shapes(*module);
}

TEST(Shapes, TuplesAndLists) {
  GraphModule module;
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  Node* pool = g.call("aten.max_pool2d_with_indices", {x, 2});
  Node* chunk = g.call("aten.chunk", {g.get_item(pool, 0), 2, 1});
  g.output({g.get_item(chunk, 1)});
  propagate_shapes(module, {at::randn({1, 4, 4, 4})});
  EXPECT_FALSE(pool->meta());
  ASSERT_EQ(pool->element_metas().size(), 2U);
  EXPECT_EQ(pool->element_metas()[1].dtype, at::kLong);
  ASSERT_EQ(chunk->element_metas().size(), 2U);
  EXPECT_EQ(chunk->element_metas()[1].sizes, (std::vector<int64_t>{1, 2, 2, 2}));
  EXPECT_EQ(g.find("getitem_1")->sizes(), (std::vector<int64_t>{1, 2, 2, 2}));
}

}  // namespace
}  // namespace octet
