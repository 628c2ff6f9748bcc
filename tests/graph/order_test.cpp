// The order of nodes, of readers and of reads through any edits, against a plain list; ids.
#include <gtest/gtest.h>

#include <random>

#include "octet/graph/graph.h"

namespace octet {
namespace {

std::vector<Node*> sorted_by_place(const std::vector<Node*>& order, std::vector<Node*> nodes) {
  std::sort(nodes.begin(), nodes.end(), [&](Node* a, Node* b) {
    return std::find(order.begin(), order.end(), a) < std::find(order.begin(), order.end(), b);
  });
  return nodes;
}

TEST(GraphOrder, HoldsThroughRandomEdits) {
  std::mt19937 random(3);
  const auto pick = [&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int round = 0; round < 20; ++round) {
    Graph graph;
    Node* x = graph.placeholder("x");
    std::vector<Node*> order = {x, graph.call("aten.relu.default", {x})};
    for (int edit = 0; edit < 300; ++edit) {
      const size_t place = 1 + pick(order.size() - 1);
      switch (pick(4)) {
        case 0:
        case 1: {  // all read the same value, so that places are free
          const auto point = graph.inserting_before(order[place]);
          order.insert(order.begin() + static_cast<int64_t>(place), graph.call("aten.neg.default", {x}));
          break;
        }
        case 2: {
          Node* moved = order[1 + pick(order.size() - 1)];
          if (moved == order[place]) break;
          Node* position = order[place];
          graph.move_before(moved, position);
          order.erase(std::find(order.begin(), order.end(), moved));
          order.insert(std::find(order.begin(), order.end(), position), moved);
          break;
        }
        default:
          if (order.size() < 4) break;
          graph.erase(order[place]);
          order.erase(order.begin() + static_cast<int64_t>(place));
      }
    }
    EXPECT_EQ(graph.nodes(), order);
    EXPECT_EQ(x->users(), std::vector<Node*>(order.begin() + 1, order.end()));
    EXPECT_EQ(x->users(), sorted_by_place(order, x->users()));
    for (size_t i = 1; i < order.size(); ++i) EXPECT_TRUE(graph.before(order[i - 1], order[i]));
    graph.output({order.back()});
    graph.verify();
  }
}

// Labels between two neighbours run out after a few dozen insertions at one place.
TEST(GraphOrder, HoldsManyNodesAtOnePlace) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* first = graph.call("aten.relu.default", {x});
  Node* last = graph.call("aten.relu.default", {first});
  std::vector<Node*> rising;
  std::vector<Node*> falling;
  for (int i = 0; i < 5000; ++i) {
    const auto before = graph.inserting_before(last);
    rising.push_back(graph.call("aten.neg.default", {x}));
    const auto after = graph.inserting_after(first);
    falling.push_back(graph.call("aten.abs.default", {x}));
  }
  std::vector<Node*> order = {x, first};
  order.insert(order.end(), falling.rbegin(), falling.rend());
  order.insert(order.end(), rising.begin(), rising.end());
  order.push_back(last);
  EXPECT_EQ(graph.nodes(), order);
  graph.output({last});
  graph.verify();
  order.erase(order.begin());
  order.pop_back();
  EXPECT_EQ(x->users(), order);
}

TEST(GraphOrder, ReadsOfATargetFollowEdits) {
  Graph graph;
  Node* a = graph.get_attr("w", "a");
  Node* b = graph.get_attr("w", "b");
  const auto reads = [&](const char* target) {
    return std::vector<Node*>(graph.reads_of(target).begin(), graph.reads_of(target).end());
  };
  EXPECT_EQ(reads("w"), (std::vector<Node*>{a, b}));
  graph.move_before(b, a);
  EXPECT_EQ(reads("w"), (std::vector<Node*>{b, a}));
  a->set_target("v");
  EXPECT_EQ(reads("w"), std::vector<Node*>{b});
  EXPECT_EQ(reads("v"), std::vector<Node*>{a});
  graph.erase(b);
  EXPECT_TRUE(reads("w").empty());
}

TEST(GraphOrder, IdsAreNeverUsedAgain) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* gone = graph.call("aten.relu.default", {x});
  const NodeRef named = gone;
  EXPECT_TRUE(graph.holds(named));
  const int64_t id = gone->id();
  graph.erase(gone);
  EXPECT_FALSE(graph.holds(named));
  EXPECT_EQ(graph.node(id), nullptr);
  Node* next = graph.call("aten.relu.default", {x});
  EXPECT_GT(next->id(), id);
  EXPECT_FALSE(graph.holds(named));
  Graph copy;
  const NodeMap copies = copy.copy_from(graph);
  EXPECT_EQ(copy.node(next->id()), copies.at(next));
  EXPECT_GT(copy.call("aten.neg.default", {copies.at(x)})->id(), next->id());
  EXPECT_FALSE(copy.holds(next));
}

// A place that a reader remembers wrongly would leave a use behind, or change another.
TEST(GraphOrder, UsesKeepTheirPlacesThroughEveryEdit) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* y = graph.placeholder("y");
  Node* z = graph.placeholder("z");
  Node* index = graph.call("aten.index.Tensor", {x, Arg(std::vector<Arg>{y, Arg(), z})});
  Node* add = graph.call("aten.add.Tensor", {y, y});
  Node* out = graph.output({Arg(x), Arg(std::vector<Arg>{y, add, y}), Arg(index)});  // a list in a list
  graph.verify();
  EXPECT_EQ(y->use_count(), 5U);
  add->replace_input(y, z);
  EXPECT_EQ(add->arg(0).node(), z);
  EXPECT_EQ(add->arg(1).node(), z);
  index->set_arg("indices", Arg(std::vector<Arg>{Arg(), z, y, z}));
  index->replace_input(z, y);
  EXPECT_EQ(index->arg(1).text(), "[None, %y, %y, %y]");
  out->replace_input(y, x);
  EXPECT_EQ(out->args()[0].text(), "[%x, [%x, %add, %x], %index]");
  index->replace_input(y, x);
  EXPECT_EQ(index->arg(0).node(), x);
  EXPECT_EQ(x->use_count(), 7U);
  EXPECT_EQ(y->user_count(), 0U);
  graph.verify();
  Graph copy;
  const NodeMap copies = copy.copy_from(graph);
  copies.at(index)->replace_input(copies.at(x), copies.at(z));
  EXPECT_EQ(copies.at(index)->arg(1).text(), "[None, %z, %z, %z]");
  copy.verify();
}

TEST(GraphOrder, AReaderThatReadsAValueOftenGivesItUpAsOne) {
  Graph graph;
  Node* x = graph.placeholder("x");
  Node* y = graph.placeholder("y");
  Node* cat = graph.call("aten.cat.default", {Arg(std::vector<Arg>{x, y, x})});
  cat->replace_input(x, y);
  EXPECT_EQ(x->user_count(), 0U);
  EXPECT_EQ(cat->inputs(), std::vector<Node*>{y});
  graph.output({cat});
  graph.verify();
}

}  // namespace
}  // namespace octet
