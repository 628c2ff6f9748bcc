// Typed notes: what they are asked as, what files may say, and what becomes of nodes that they name in a copy.
#include <gtest/gtest.h>

#include "octet/graph/graph.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

using test::expect_error;

struct Friends {
  std::vector<NodeRef> nodes;
  void remap(const NodeMap& copies) {
    for (NodeRef& node : nodes) node.remap(copies);
  }
};

const NoteKey<Friends> kFriends("notes_test.friends");
const NoteKey<int64_t> kCount("notes_test.count");

TEST(Notes, HoldOneTypeEach) {
  Notes notes;
  EXPECT_EQ(notes.find(kCount), nullptr);
  notes[kCount] = 3;
  EXPECT_EQ(*notes.find(kCount), 3);
  EXPECT_TRUE(notes.erase(kCount));
  EXPECT_FALSE(notes.erase(kCount));
  EXPECT_FALSE(notes.contains(kCount));
}

TEST(Notes, OfFilesAreOfTheDeclaredType) {
  Notes notes;
  notes.set_saved(kCount.name(), int64_t{4}, "file");
  EXPECT_EQ(*notes.find(kCount), 4);
  notes.set_saved("of nobody", true, "file");
  expect_error([&] { notes.set_saved(kCount.name(), "four", "file"); },
               {"[file]", "note 'notes_test.count'", "expected an integer", "got a text"});
  expect_error([&] { notes.set_saved(kModulePathNote.name(), true, "file"); }, {"module_path", "a text", "a bool"});
  expect_error([&] { notes.set_saved(kFriends.name(), "x", "file"); }, {"notes_test.friends", "no file"});
  std::vector<std::string> names;
  notes[kFriends] = {};
  notes.for_each_saved([&](const std::string& name, const SavedNote&) { names.push_back(name); });
  EXPECT_EQ(names, (std::vector<std::string>{"notes_test.count", "of nobody"}));
}

TEST(Notes, NameTheNodesOfTheCopy) {
  auto graph = std::make_unique<Graph>();
  Node* x = graph->placeholder("x");
  Node* gone = graph->call("aten.neg.default", {x});
  Node* relu = graph->call("aten.relu.default", {x});
  graph->output({relu});
  x->notes()[kFriends].nodes = {relu, gone, NodeRef()};
  graph->erase(gone);
  Graph copy;
  copy.copy_from(*graph);
  graph.reset();
  const std::vector<NodeRef>& named = copy.find("x")->notes().find(kFriends)->nodes;
  EXPECT_EQ(named[0], copy.find("relu"));
  EXPECT_TRUE(copy.holds(named[0]));
  EXPECT_EQ(named[1], nullptr);  // was erased before the copy
  EXPECT_EQ(named[2], nullptr);
}

}  // namespace
}  // namespace octet
