#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/engine/graph_builder.h"

namespace octet::test {

/// A small graph, a pass, and what the pass makes of it.
struct PassCase {
  std::string name;
  std::function<std::shared_ptr<GraphModule>(GraphBuilder&)> build;
  std::function<bool(GraphModule&)> pass;
  std::string ops;         // afterwards; empty: the pass declines
  bool is_random = false;  // its results are no two times the same
};

inline void PrintTo(const PassCase& test_case, std::ostream* out) { *out << test_case.name; }

inline void expect_same_results(GraphModule& before, GraphModule& after, const std::vector<at::Tensor>& inputs) {
  const auto expected_results = before.run(inputs);
  const auto results = after.run(inputs);
  ASSERT_EQ(results.size(), expected_results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    ASSERT_EQ(results[i].sizes(), expected_results[i].sizes());
    EXPECT_TRUE(at::allclose(results[i], expected_results[i], 1e-5, 1e-5))
        << "result " << i << " differs by " << (results[i] - expected_results[i]).abs().max().item<double>();
  }
}

/// The pass changes the graph as said, keeps its results and the shapes of its nodes, and rests on its own result.
inline void expect_pass(const PassCase& test_case) {
  at::manual_seed(7);
  GraphBuilder builder;
  const auto module = test_case.build(builder);
  const auto before = module->copy();
  const std::string ops_before = ops_of(*module);
  EXPECT_EQ(test_case.pass(*module), !test_case.ops.empty());
  module->graph().eliminate_dead_code();
  module->graph().verify();
  EXPECT_EQ(ops_of(*module), test_case.ops.empty() ? ops_before : test_case.ops);
  if (!test_case.is_random) expect_same_results(*before, *module, builder.inputs());
  EXPECT_FALSE(test_case.pass(*module)) << "a second run changes the graph again";

  const auto measured = module->copy();
  propagate_shapes(*measured, builder.inputs());
  for (const Node* node : module->graph().nodes()) {
    EXPECT_EQ(node->meta(), measured->graph().find(node->name())->meta()) << node->name();
    EXPECT_EQ(node->element_metas(), measured->graph().find(node->name())->element_metas()) << node->name();
  }
}

}  // namespace octet::test
