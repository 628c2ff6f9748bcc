#include "octet/graph/graph.h"

#include <gtest/gtest.h>

#include "expect_error.h"

namespace octet {
namespace {

using test::expect_error;
using Ints = std::vector<int64_t>;

std::vector<std::string> names(const std::vector<Node*>& nodes) {
  std::vector<std::string> all;
  for (const Node* node : nodes) all.push_back(node->name());
  return all;
}

TEST(Op, FindsByTheExportersText) {
  EXPECT_EQ(Op::find("aten.conv2d").text(), "aten.conv2d.default");
  EXPECT_EQ(Op::find("aten.conv2d.default").packet(), "aten.conv2d");
  EXPECT_EQ(Op::find("aten.add.Tensor").short_name(), "add");
  EXPECT_EQ(Op::find("aten.dropout").argument_index("p"), 1);
  EXPECT_EQ(Op::find("aten.dropout").argument_index("q"), -1);
  EXPECT_FALSE(Op::try_find("aten.no_such_op.default"));
  EXPECT_FALSE(Op::try_find("conv2d"));
  EXPECT_TRUE(Op::find("aten.relu_").mutates());
  EXPECT_FALSE(Op::find("aten.relu").mutates());
  expect_error([] { Op::find("aten.no_such_op.default"); }, {"aten.no_such_op.default", "namespace.name.overload"});
}

TEST(Op, IsInternedAndComparesByName) {
  const Op relu = Op::find("aten.relu");
  EXPECT_EQ(relu, Op(c10::Dispatcher::singleton().findSchemaOrThrow("aten::relu", "")));
  EXPECT_EQ(&relu.text(), &Op::find("aten.relu.default").text());
  EXPECT_NE(relu, Op::find("aten.relu_"));
  EXPECT_EQ(relu.name(), OpName("aten.relu.default"));
  EXPECT_EQ(relu.packet_name(), OpName("aten.relu"));
  EXPECT_NE(relu.name(), OpName(std::string("aten.relu_.default")));
  EXPECT_EQ(relu.in_place(), Op::find("aten.relu_"));
  EXPECT_EQ(Op::find("aten.add.Tensor").in_place()->text(), "aten.add_.Tensor");
  EXPECT_FALSE(Op::find("aten.conv2d").in_place());
}

TEST(Op, ForgetsAnOperatorThatIsTakenAway) {
  auto library =
      std::make_unique<torch::Library>(torch::Library::DEF, "octet_op_test", std::nullopt, __FILE__, __LINE__);
  library->def("once(Tensor x) -> Tensor");
  EXPECT_EQ(Op::find("octet_op_test.once").argument_index("x"), 0);
  library.reset();
  EXPECT_FALSE(Op::try_find("octet_op_test.once.default"));
  library = std::make_unique<torch::Library>(torch::Library::DEF, "octet_op_test", std::nullopt, __FILE__, __LINE__);
  library->def("once(Tensor a, Tensor(b!) y) -> Tensor");
  EXPECT_EQ(Op::find("octet_op_test.once").argument_index("x"), -1);
  EXPECT_TRUE(Op::find("octet_op_test.once").mutates());
}

TEST(Op, HasTraits) {
  const auto is = [](const char* op, Trait trait) { return Op::find(op).is(trait); };
  EXPECT_TRUE(is("aten.conv2d.padding", Trait::kConvolution));
  EXPECT_FALSE(is("aten.conv2d.padding", Trait::kTransposed));
  EXPECT_TRUE(is("aten.conv_transpose1d", Trait::kTransposed));
  EXPECT_TRUE(is("aten.batch_norm", Trait::kBatchNorm));
  EXPECT_FALSE(is("aten.batch_norm", Trait::kGivesTuple));
  EXPECT_TRUE(is("aten._native_batch_norm_legit", Trait::kGivesTuple));
  EXPECT_FALSE(is("aten._native_batch_norm_legit.no_stats", Trait::kBatchNorm));  // has no statistics to fold
  EXPECT_TRUE(is("aten.view", Trait::kView));
  EXPECT_FALSE(is("aten.view.dtype", Trait::kView));
  EXPECT_TRUE(is("aten.bernoulli", Trait::kRandom));
  EXPECT_FALSE(is("aten.relu", Trait::kRandom));
}

TEST(Arg, ReadsConstants) {
  EXPECT_EQ(Arg(3).to_int(), 3);
  EXPECT_EQ(Arg(3).to_double(), 3.0);
  EXPECT_EQ(Arg(Ints{1, 2}).to_ints(), (Ints{1, 2}));
  EXPECT_EQ(Arg(4).to_ints(), (Ints{4}));
  EXPECT_TRUE(Arg(true).to_bool());
  EXPECT_EQ(Arg("same").to_string(), "same");
  EXPECT_TRUE(Arg().is_none());
  expect_error([] { Arg("text").to_int(); }, {"expected an int", "'text'"});
  expect_error([] { Arg().to_double(); }, {"expected a number", "None"});
}

TEST(Call, FillsDefaultsAndCoerces) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* w = graph.get_attr("conv.weight");
  Node* conv = graph.call("aten.conv2d", {x, w}, {{"padding", 1}});
  ASSERT_EQ(conv->args().size(), 7U);
  EXPECT_TRUE(conv->arg("bias").is_none());
  EXPECT_EQ(conv->arg("stride").to_ints(), (Ints{1, 1}));
  EXPECT_EQ(conv->arg("padding").to_ints(), (Ints{1, 1}));  // 1 given for int[2]
  EXPECT_TRUE(conv->arg("padding").constant().isIntList());
  EXPECT_EQ(conv->arg("groups").to_int(), 1);
  Node* drop = graph.call("aten.dropout", {conv, 1, 0});  // int for float, 0 for bool
  EXPECT_TRUE(drop->arg("p").constant().isDouble());
  EXPECT_TRUE(drop->arg("train").constant().isBool());
  Node* view = graph.call("aten.view", {drop, std::vector<Arg>{Arg(1), Arg(-1)}});
  EXPECT_TRUE(view->arg("size").constant().isIntList());  // no node in it: one typed constant
}

TEST(Call, NumbersStandForTensors) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* sum = graph.call("aten.add.Tensor", {x, 2});
  EXPECT_EQ(sum->arg("other").to_int(), 2);
  EXPECT_EQ(graph.text(), "%x : placeholder\n%add : aten.add.Tensor(%x, 2)\n");
}

TEST(Call, ErrorsNameNodeArgumentAndKinds) {
  Graph graph;
  Node* x = graph.placeholder("x");
  expect_error([&] { graph.call("aten.relu", {x, x}); }, {"[relu 'relu']", "at most 1", "got 2"});
  expect_error([&] { graph.call("aten.conv2d", {x}); }, {"[conv2d 'conv2d']", "'weight'", "missing"});
  expect_error([&] { graph.call("aten.relu", {x}, {{"alpha", 1}}); }, {"no argument 'alpha'", "relu(Tensor self)"});
  expect_error([&] { graph.call("aten.relu", {x}, {{"self", x}}); }, {"'self'", "given twice"});
  expect_error(
      [&] {
        graph.call("aten.dropout", {x, "half", true});
      },
      {"[dropout 'dropout']", "argument 'p'", "expected float", "got 'half'"});
  expect_error([&] { graph.call("aten.relu", {Arg()}); }, {"argument 'self'", "got None"});
  expect_error([&] { graph.call("aten.conv2d.padding", {x, x, x, 1, x}); }, {"argument 'padding'", "expected str"});
  expect_error([&] { graph.call("aten.cat", {std::vector<Arg>{x, Arg("y")}}); }, {"argument 'tensors'", "got 'y'"});
  expect_error([&] { graph.call("aten.view", {x, std::vector<Arg>{x, Arg(0.5)}}); }, {"argument 'size'", "got 0.5"});
  EXPECT_EQ(graph.size(), 1U);  // a refused call leaves nothing behind
}

TEST(Node, SetArgChecksAndKeepsUses) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* y = graph.placeholder("y");
  Node* sum = graph.call("aten.add.Tensor", {x, y});
  sum->set_arg("other", x);
  EXPECT_EQ(y->user_count(), 0U);
  EXPECT_EQ(x->user_count(), 1U);
  sum->set_arg("other", 3.0);
  EXPECT_EQ(x->user_count(), 1U);  // still read as self
  expect_error([&] { sum->set_arg("alpha", "a"); }, {"[add 'add']", "'alpha'"});
  EXPECT_EQ(sum->arg("alpha").to_int(), 1);
  expect_error([&] { sum->set_arg("beta", 1); }, {"[add 'add']", "'beta'"});
  expect_error([&] { sum->arg(9); }, {"argument index"});
  expect_error([&] { sum->sizes(); }, {"shape is not known", "propagate_shapes"});
}

TEST(Node, NamedByItsModule) {
  Graph graph;
  Node* relu = graph.call("aten.relu", {graph.placeholder("x")});
  EXPECT_EQ(relu->where(), "relu 'relu'");
  relu->notes()[kModulePathNote] = "features.0.2";
  EXPECT_EQ(relu->where(), "relu 'features.0.2'");
}

TEST(Graph, NamesAreUnique) {
  Graph graph;
  Node* x = graph.placeholder("x");
  EXPECT_EQ(graph.call("aten.relu", {x})->name(), "relu");
  EXPECT_EQ(graph.call("aten.relu", {x})->name(), "relu_1");
  EXPECT_EQ(graph.call("aten.relu", {x}, {}, "relu_1")->name(), "relu_1_1");
  EXPECT_EQ(graph.get_attr("a.b.0")->name(), "a_b_0");
  EXPECT_EQ(graph.placeholder("0")->name(), "_0");
  EXPECT_EQ(graph.find("relu_1")->name(), "relu_1");
  EXPECT_EQ(graph.find("relu_2"), nullptr);
}

TEST(Graph, TextLeavesDefaultsOut) {
  Graph graph;
  Node* x = graph.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1, 3, 8, 8}});
  Node* w = graph.get_attr("conv.weight");
  Node* conv = graph.call("aten.conv2d", {x, w}, {{"groups", 3}});
  Node* pool = graph.call("aten.max_pool2d_with_indices", {conv, 2});
  pool->set_element_metas({TensorMeta{at::kFloat, {1, 3, 4, 4}}, TensorMeta{at::kLong, {1, 3, 4, 4}}});
  Node* first = graph.get_item(pool, 0);
  Node* observed = graph.call_module("observers.a", {first});
  Node* cat = graph.call("aten.cat", {std::vector<Arg>{observed, first}, 1});
  Node* sum = graph.call("aten.sum.dim_IntList", {cat, Ints{1}}, {{"dtype", at::kDouble}});
  graph.output({sum});
  EXPECT_EQ(graph.text(),
            "%x : placeholder -> float32[1, 3, 8, 8]\n"
            "%conv_weight : get_attr['conv.weight']\n"
            "%conv2d : aten.conv2d.default(%x, %conv_weight, groups=3)\n"
            "%max_pool2d_with_indices : aten.max_pool2d_with_indices.default(%conv2d, [2, 2]) -> (float32[1, 3, 4, 4], "
            "int64[1, 3, 4, 4])\n"
            "%getitem : %max_pool2d_with_indices[0]\n"
            "%a : call_module['observers.a'](%getitem)\n"
            "%cat : aten.cat.default([%a, %getitem], 1)\n"
            "%sum : aten.sum.dim_IntList(%cat, [1], dtype=7)\n"
            "%output : output([%sum])\n");
  const std::string table = graph.table();
  EXPECT_NE(table.find("call_function  conv2d"), std::string::npos) << table;
  EXPECT_NE(table.find("call_module    a"), std::string::npos) << table;
  graph.verify();
}

TEST(Graph, DeadCodeGoesSideEffectsStay) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* dead = graph.call("aten.relu", {x});
  graph.call("aten.neg", {dead});
  Node* counter = graph.get_attr("bn.num_batches_tracked");
  graph.call("aten.add_.Tensor", {counter, 1});
  graph.placeholder("unused");
  graph.output({x});
  EXPECT_EQ(graph.eliminate_dead_code(), 2U);
  EXPECT_EQ(names(graph.nodes()),
            (std::vector<std::string>{"x", "bn_num_batches_tracked", "add_", "unused", "output"}));
}

TEST(Graph, ReplaceAllUses) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* a = graph.call("aten.relu", {x});
  Node* b = graph.call("aten.cat", {std::vector<Arg>{x, a, x}});
  Node* out = graph.output({x, b});
  Node* fresh = nullptr;
  {
    const auto at = graph.inserting_after(x);
    fresh = graph.call("aten.neg", {x});
  }
  x->replace_all_uses_with(fresh, [&](Node* user) { return user == a; });
  EXPECT_EQ(names(x->users()), (std::vector<std::string>{"neg", "relu"}));
  EXPECT_EQ(b->arg(0).text(), "[%neg, %relu, %neg]");
  EXPECT_EQ(out->args()[0].text(), "[%neg, %cat]");
  EXPECT_EQ(names(fresh->users()), (std::vector<std::string>{"cat", "output"}));
  graph.verify();
  expect_error([&] { graph.erase(fresh); }, {"[neg 'neg']", "'cat' still reads it"});
}

TEST(Graph, InsertPoints) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* out = graph.output({x});
  {
    const auto after = graph.inserting_after(x);
    Node* first = graph.call("aten.relu", {x});
    {
      const auto before = graph.inserting_before(first);
      graph.call("aten.neg", {x});
    }
    graph.call("aten.abs", {first});
  }
  {
    const auto before = graph.inserting_before(out);
    graph.call("aten.exp", {x});
  }
  EXPECT_EQ(names(graph.nodes()), (std::vector<std::string>{"x", "neg", "relu", "abs", "exp", "output"}));
  EXPECT_TRUE(graph.before(x, out));
  graph.move_before(graph.find("exp"), graph.find("neg"));
  EXPECT_EQ(names(graph.nodes()), (std::vector<std::string>{"x", "exp", "neg", "relu", "abs", "output"}));
}

TEST(Graph, InsertPointsSurviveErasure) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* a = graph.call("aten.relu", {x});
  graph.output({x});
  {
    const auto outer = graph.inserting_before(a);
    {
      const auto inner = graph.inserting_after(x);
      graph.erase(a);  // where the outer one stands
      graph.call("aten.neg", {x});
    }
    graph.call("aten.abs", {x});
  }
  EXPECT_EQ(names(graph.nodes()), (std::vector<std::string>{"x", "neg", "abs", "output"}));
}

TEST(Graph, VerifyFindsBrokenRules) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* a = graph.call("aten.relu", {x});
  Node* b = graph.call("aten.neg", {a});
  expect_error([&] { graph.verify(); }, {"no output node"});
  graph.output({b});
  graph.verify();
  graph.move_before(b, a);
  expect_error([&] { graph.verify(); }, {"[neg 'neg']", "reads 'relu' before it is defined"});
  try {
    graph.verify();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kInternal);
  }
  graph.move_before(a, b);
  graph.verify();
  graph.call("aten.abs", {x});
  expect_error([&] { graph.verify(); }, {"[abs 'abs']", "after the output"});
}

TEST(Graph, CopyIsDeepAndKeepsNamesAndNotes) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* relu = graph.call("aten.relu", {x});
  relu->set_meta(TensorMeta{at::kFloat, {2}});
  relu->notes().set_saved("stack_trace", "here");
  graph.output({relu, x});
  Graph copy;
  const auto map = copy.copy_from(graph);
  EXPECT_EQ(copy.text(), graph.text());
  copy.verify();
  std::map<std::string, SavedNote> notes;
  map.at(relu)->notes().for_each_saved([&](const std::string& name, const SavedNote& note) { notes[name] = note; });
  EXPECT_EQ(notes, (std::map<std::string, SavedNote>{{"stack_trace", std::string("here")}}));
  EXPECT_EQ(map.at(relu)->id(), relu->id());
  map.at(relu)->set_arg(0, map.at(relu)->arg(0));
  copy.call("aten.neg", {map.at(x)}, {}, "more");
  EXPECT_EQ(graph.find("more"), nullptr);
}

TEST(Graph, VersionChangesWithEveryEdit) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* sum = graph.call("aten.add.Tensor", {x, x});
  int64_t seen = graph.version();
  sum->set_arg("alpha", 2);
  EXPECT_NE(graph.version(), seen);
  seen = graph.version();
  graph.erase(sum);
  EXPECT_NE(graph.version(), seen);
}

}  // namespace
}  // namespace octet
