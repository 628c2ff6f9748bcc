#include "octet/quantize/sharing.h"

#include <gtest/gtest.h>

#include <random>

#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::activation_spec;

// The groups as sets, so that only who shares with whom counts.
std::set<std::set<std::string>> partition(const SharingGroups& groups) {
  std::set<std::set<std::string>> sets;
  for (const auto& group : groups.groups) {
    std::set<std::string> members;
    for (const EdgeOrNode& member : group.members) members.insert(member.text());
    sets.insert(members);
  }
  return sets;
}

std::string message(const Graph& graph) {
  try {
    resolve_sharing(graph);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// x -> a, b (relu each) -> cat -> sigmoid
struct CatNet {
  test::Net net{{1, 2, 4, 4}};
  Node* x = net.last;
  Node* a = net.relu();
  Node* b = net.call("aten.neg.default", {Arg(x)});
  Node* cat = net.call("aten.cat.default", {Arg(std::vector<Arg>{Arg(a), Arg(b)}), Arg(1)});
  Node* end = net.call("aten.sigmoid.default", {Arg(cat)});
  Graph& graph = net.module->graph();
  CatNet() { net.finish(); }
};

TEST(Sharing, EdgesOfOneProducerAndItsOutputShareWhereSpecsAgree) {
  CatNet n;
  ensure_annotation(*n.x).output_qspec = activation_spec(false);
  ensure_annotation(*n.a).set_input(n.x, activation_spec(false));
  ensure_annotation(*n.b).set_input(n.x, activation_spec(false));
  const SharingGroups groups = resolve_sharing(n.graph);
  EXPECT_EQ(groups.groups.size(), 1u);
  EXPECT_EQ(groups.groups[0].members.size(), 3u);
}

TEST(Sharing, AnotherObserverKindIsAnotherSpec) {
  CatNet n;
  QuantizationSpec other = activation_spec(false);
  other.observer_or_fake_quant = histogram_observer();
  ensure_annotation(*n.a).set_input(n.x, activation_spec(false));
  ensure_annotation(*n.b).set_input(n.x, other);
  EXPECT_EQ(resolve_sharing(n.graph).groups.size(), 2u);
}

TEST(Sharing, NodesMayStayOut) {
  CatNet n;
  ensure_annotation(*n.a).set_input(n.x, activation_spec(false));
  ensure_annotation(*n.b).set_input(n.x, activation_spec(false));
  ensure_annotation(*n.b).allow_implicit_sharing = false;
  EXPECT_EQ(resolve_sharing(n.graph).groups.size(), 2u);
}

TEST(Sharing, CatTiesInputsAndOutput) {
  CatNet n;
  const EdgeOrNode first(n.a, n.cat);
  ensure_annotation(*n.a).output_qspec = activation_spec(false);
  ensure_annotation(*n.b).output_qspec = activation_spec(false);
  auto& note = ensure_annotation(*n.cat);
  note.set_input(n.a, activation_spec(false));
  note.set_input(n.b, SharedQuantizationSpec{first});
  note.output_qspec = SharedQuantizationSpec{first};
  const SharingGroups groups = resolve_sharing(n.graph);
  ASSERT_EQ(groups.groups.size(), 1u);
  EXPECT_EQ(groups.groups[0].members.size(), 5u);
}

// The anchor stands later in the graph: the reference fails an assertion here.
TEST(Sharing, AnAnchorMayComeLater) {
  CatNet n;
  ensure_annotation(*n.a).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.cat)};
  ensure_annotation(*n.cat).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.end)};
  ensure_annotation(*n.end).output_qspec = activation_spec(false);
  EXPECT_EQ(resolve_sharing(n.graph).groups.size(), 1u);
}

TEST(Sharing, AMissingAnchorIsNamed) {
  CatNet n;
  ensure_annotation(*n.cat).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.b, n.cat)};
  const std::string error = message(n.graph);
  EXPECT_NE(error.find("output of 'cat'"), std::string::npos) << error;
  EXPECT_NE(error.find("edge 'neg' -> 'cat'"), std::string::npos) << error;
}

TEST(Sharing, ACircleIsNamed) {
  CatNet n;
  ensure_annotation(*n.a).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.b)};
  ensure_annotation(*n.b).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.cat)};
  ensure_annotation(*n.cat).output_qspec = SharedQuantizationSpec{EdgeOrNode(n.a)};
  const std::string error = message(n.graph);
  EXPECT_NE(error.find("circle"), std::string::npos) << error;
  EXPECT_NE(error.find("output of 'neg'"), std::string::npos) << error;
}

TEST(Sharing, AnAxisOutsideTheTensorIsNamed) {
  CatNet n;
  ensure_annotation(*n.a).set_input(n.x, test::weight_spec(false, true, 4));
  EXPECT_NE(message(n.graph).find("ch_axis: expected below the rank 4, got 4"), std::string::npos) << message(n.graph);
}

TEST(Sharing, AnnotatingAnInputThatIsNotReadIsAnError) {
  CatNet n;
  ensure_annotation(*n.end).set_input(n.a, activation_spec(false));
  EXPECT_NE(message(n.graph).find("does not read"), std::string::npos);
}

TEST(Sharing, DerivedSpecsStandBehindTheirSources) {
  test::Net net({1, 2, 4, 4});
  Node* conv = net.conv2d("c", 2, 3, true);
  net.finish();
  auto& note = ensure_annotation(*conv);
  note.set_input(conv->arg(2).node(), test::bias_spec(conv, true));  // before what it derives from
  note.set_input(conv->arg(0).node(), activation_spec(false));
  EXPECT_NE(message(net.module->graph()).find("derives its parameters from"), std::string::npos);
  note.set_input(conv->arg(1).node(), test::weight_spec(false, true, 0));
  const SharingGroups groups = resolve_sharing(net.module->graph());
  ASSERT_EQ(groups.groups.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<DerivedQuantizationSpec>(groups.groups[2].spec));
}

// Random graphs with random shared specs: the outcome must be the transitive closure of the rules, whatever order the
// maps of inputs have.
TEST(Sharing, OrderDoesNotMatter) {
  std::mt19937 random(7);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int round = 0; round < 40; ++round) {
    test::Net net({1, 2});
    std::vector<Node*> nodes = {net.last};
    for (int i = 0; i < 8; ++i)
      nodes.push_back(net.call("aten.add.Tensor", {Arg(nodes[pick(nodes.size())]), Arg(nodes[pick(nodes.size())])}));
    net.finish();
    std::vector<EdgeOrNode> places;
    for (Node* node : nodes) {
      places.emplace_back(node);
      for (Node* input : node->inputs()) places.emplace_back(input, node);
    }
    // A shared spec names a place that came before in a random order, so that there are no circles.
    std::shuffle(places.begin(), places.end(), random);
    std::map<EdgeOrNode, AnySpec> specs;
    for (size_t i = 0; i < places.size(); ++i) {
      QuantizationSpec spec = activation_spec(false);
      if (pick(2) == 0) spec.quant_min = -127;
      if (i > 0 && pick(3) == 0) {
        specs[places[i]] = SharedQuantizationSpec{places[pick(i)]};
      } else {
        specs[places[i]] = spec;
      }
    }
    std::set<std::set<std::string>> first;
    for (int order = 0; order < 4; ++order) {
      for (Node* node : nodes) {
        node->notes().erase(kAnnotationKey);
        auto& note = ensure_annotation(*node);
        std::vector<Node*> inputs = node->inputs();
        std::shuffle(inputs.begin(), inputs.end(), random);
        for (Node* input : inputs) note.set_input(input, specs.at(EdgeOrNode(input, node)));
        note.output_qspec = specs.at(EdgeOrNode(node));
      }
      const auto sets = partition(resolve_sharing(net.module->graph()));
      if (order == 0) first = sets;
      EXPECT_EQ(sets, first);
    }
  }
}

// Annotations name nodes; those of a copy name the copy's.
TEST(Sharing, OfACopyNeedsNothingOfTheOriginal) {
  test::Net net({1, 2});
  Node* x = net.last;
  Node* a = net.call("aten.neg.default", {Arg(x)});
  Node* b = net.call("aten.add.Tensor", {Arg(a), Arg(x)});
  auto original = net.finish();
  ensure_annotation(*a).output_qspec = activation_spec(false);
  DerivedQuantizationSpec derived = test::bias_spec(test::Net({1, 1, 4, 4}).conv2d("c", 1, 1, false), false);
  derived.derived_from = {EdgeOrNode(a), EdgeOrNode(a, b)};
  ensure_annotation(*b).set_input(a, SharedQuantizationSpec{EdgeOrNode(a)});
  ensure_annotation(*b).set_input(x, derived);
  ensure_annotation(*b).output_qspec = SharedQuantizationSpec{EdgeOrNode(a, b)};
  const auto before = partition(resolve_sharing(original->graph()));
  const auto copy = original->copy();
  net.module.reset();
  original.reset();
  EXPECT_EQ(partition(resolve_sharing(copy->graph())), before);
  const Node* copied = copy->graph().find("add");
  for (const auto& [producer, spec] : annotation(*copied)->input_qspec_map) EXPECT_TRUE(copy->graph().holds(producer));
}

TEST(Sharing, WithAnErasedNodeIsAnError) {
  test::Net net({1, 2});
  Node* gone = net.call("aten.neg.default", {Arg(net.last)});
  Node* relu = net.call("aten.relu.default", {Arg(net.last)});
  ensure_annotation(*relu).output_qspec = SharedQuantizationSpec{EdgeOrNode(gone)};
  relu->replace_input(gone, net.module->graph().find("x"));
  net.module->graph().erase(gone);
  try {
    resolve_sharing(net.module->graph());
    ADD_FAILURE() << "resolved";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a place that is not in the graph, which has no spec"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace octet
