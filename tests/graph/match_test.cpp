#include "octet/graph/match.h"

#include <gtest/gtest.h>

#include "expect_error.h"
#include "octet/graph/graph_module.h"

namespace octet {
namespace {

const std::vector<OpName> kActivations = {"aten.relu.default", "aten.relu_.default", "aten.hardtanh.default"};

// conv -> relu twice; the second relu's conv is read by somebody else too.
struct TwoConvolutions {
  TwoConvolutions() {
    x = g.placeholder("x");
    conv1 = g.call("aten.conv2d", {x, g.get_attr("c1.weight")});
    relu1 = g.call("aten.relu", {conv1});
    conv2 = g.call("aten.conv2d", {relu1, g.get_attr("c2.weight"), g.get_attr("c2.bias")});
    relu2 = g.call("aten.hardtanh", {conv2, 0.0, 6.0});
    sum = g.call("aten.add.Tensor", {relu2, conv2});
    out = g.output({sum});
  }
  Graph g;
  Node *x, *conv1, *relu1, *conv2, *relu2, *sum, *out;
};

TEST(Match, FindsAndCaptures) {
  TwoConvolutions net;
  const Pattern conv_relu =
      Pattern::call(kActivations,
                    {Pattern::call({"aten.conv2d.default"},
                                   {Pattern::any("x"), Pattern::get_attr("weight"), Pattern::any("bias")}, "conv")},
                    "relu");
  const auto all = conv_relu.find_all(net.g);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].root(), net.relu1);
  EXPECT_EQ(all[0]["conv"], net.conv1);
  EXPECT_EQ(all[0]["x"], net.x);
  EXPECT_TRUE(all[0].arg("bias").is_none());
  EXPECT_EQ(all[0]["bias"], nullptr);
  EXPECT_EQ(all[1]["bias"]->target(), "c2.bias");
  EXPECT_EQ(all[0].nodes(), (std::vector<Node*>{net.relu1, net.conv1, net.conv1->arg("weight").node()}));
  EXPECT_FALSE(conv_relu.match(net.conv1));
  test::expect_error([&] { all[0].arg("scale"); }, {"[relu 'relu']", "'scale'"});
}

TEST(Match, SoleUseConstantsAndConditions) {
  TwoConvolutions net;
  const Pattern conv = Pattern::call({"aten.conv2d.default"}, {});
  EXPECT_EQ(Pattern::call(kActivations, {conv.sole_use()}).find_all(net.g).size(), 1U);
  EXPECT_EQ(Pattern::call(kActivations, {}).with("max_val", Arg(6.0)).find_all(net.g).at(0).root(), net.relu2);
  EXPECT_TRUE(Pattern::call(kActivations, {}).with("max_val", Arg(1.0)).find_all(net.g).empty());
  EXPECT_EQ(conv.with("bias", Pattern::none()).find_all(net.g).at(0).root(), net.conv1);
  EXPECT_EQ(conv.where([](const Node& n) { return n.name() == "conv2d_1"; }).find_all(net.g).at(0).root(), net.conv2);
  EXPECT_EQ(Pattern::call({"aten.hardtanh.default"}, {Pattern::value(), Pattern::constant("low")})
                .find_all(net.g)
                .at(0)
                .arg("low")
                .to_double(),
            0.0);
}

TEST(Match, SameCaptureMeansSameNode) {
  TwoConvolutions net;
  const Pattern relu = Pattern::call(kActivations, {Pattern::value("conv")});
  const Pattern residual = Pattern::call({"aten.add.Tensor"}, {Pattern::value("conv"), relu});
  EXPECT_FALSE(residual.match(net.sum));  // they stand the other way round
  const auto found = residual.commutative().match(net.sum);
  ASSERT_TRUE(found);
  EXPECT_EQ((*found)["conv"], net.conv2);
  net.sum->set_arg("other", net.conv1);
  EXPECT_FALSE(residual.commutative().match(net.sum));
}

TEST(Match, EitherMaybeAndElements) {
  TwoConvolutions net;
  const Pattern conv = Pattern::call({"aten.conv2d.default"}, {}, "conv");
  const Pattern add_or_relu =
      Pattern::either({Pattern::call({"aten.add.Tensor"}, {}, "add"), Pattern::call(kActivations, {conv})});
  EXPECT_EQ(add_or_relu.find_all(net.g).size(), 3U);
  EXPECT_EQ((*add_or_relu.match(net.relu1))["conv"], net.conv1);
  EXPECT_EQ((*add_or_relu.match(net.relu1))["add"], nullptr);
  EXPECT_TRUE(Pattern::maybe(kActivations, conv, "act").match(net.relu1)->has("act"));
  EXPECT_FALSE(Pattern::maybe(kActivations, conv, "act").match(net.conv1)->has("act"));

  Graph g;
  Node* chunk = g.call("aten.chunk", {g.placeholder("x"), 2});
  Node* second = g.get_item(chunk, 1);
  g.output({second, g.get_item(chunk, 0)});
  const Pattern tuple = Pattern::call({"aten.chunk.default"}, {}, "chunk");
  EXPECT_TRUE(Pattern::element(tuple, 1).match(second));
  EXPECT_FALSE(Pattern::element(tuple, 0).match(second));
}

TEST(Match, Helpers) {
  TwoConvolutions net;
  EXPECT_EQ(sole_user(net.conv1), net.relu1);
  EXPECT_EQ(sole_user(net.conv2), nullptr);
  EXPECT_EQ(sole_user(net.sum), net.out);
  EXPECT_TRUE(is_any_of(net.relu1, kActivations));
  EXPECT_FALSE(is_any_of(net.x, kActivations));
  EXPECT_FALSE(is_any_of(nullptr, kActivations));
  EXPECT_EQ(calls_of(net.g, {"aten.conv2d.default"}), (std::vector<Node*>{net.conv1, net.conv2}));
}

TEST(Match, ReadersThroughOthersComeOnceAndInOrder) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* split = graph.call("aten.split.Tensor", {x, 2, 1});
  Node* first = graph.get_item(split, 0);
  Node* second = graph.get_item(split, 1);
  Node* add = graph.call("aten.add.Tensor", {first, second});
  Node* relu = graph.call("aten.relu", {second});
  Node* out = graph.output({add, relu, first});
  const auto is_element = [](const Node& node) { return node.kind() == NodeKind::kGetItem; };
  EXPECT_EQ(readers_through(*split, is_element), (std::vector<Node*>{add, out, relu}));
  EXPECT_EQ(readers_through(*x, is_element), std::vector<Node*>{split});
  EXPECT_TRUE(readers_through(*out, is_element).empty());
}

TEST(Match, ReplaceKeepsWhatOthersRead) {
  TwoConvolutions net;
  const Pattern conv_relu =
      Pattern::call(kActivations, {Pattern::call({"aten.conv2d.default"}, {Pattern::any("x")}, "conv")});
  const auto build = [](Graph& g, const Match& match) { return g.call("aten.neg", {match["x"]}); };
  EXPECT_EQ(replace_all(net.g, conv_relu, build), 2U);  // the second one reads what the first one made
  net.g.verify();
  EXPECT_EQ(net.g.text(),
            "%x : placeholder\n"
            "%c1_weight : get_attr['c1.weight']\n"
            "%neg : aten.neg.default(%x)\n"
            "%c2_weight : get_attr['c2.weight']\n"
            "%c2_bias : get_attr['c2.bias']\n"
            "%conv2d_1 : aten.conv2d.default(%neg, %c2_weight, %c2_bias)\n"
            "%neg_1 : aten.neg.default(%neg)\n"
            "%add : aten.add.Tensor(%neg_1, %conv2d_1)\n"
            "%output : output([%add])\n");
  const auto root = Pattern::call({"aten.add.Tensor"}, {Pattern::any("left")}).match(net.sum);
  EXPECT_EQ(replace(net.g, *root, [&](Graph& g) { return g.call("aten.abs", {(*root)["left"]}); })->name(), "abs");
  net.g.verify();
  EXPECT_EQ(net.g.output()->args()[0].text(), "[%abs]");
}

}  // namespace
}  // namespace octet
