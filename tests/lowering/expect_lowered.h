#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/program_diff.h"

namespace octet::test {

inline void expect_equal(const at::Tensor& got, const at::Tensor& wanted, const std::string& where) {
  ASSERT_EQ(got.sizes(), wanted.sizes()) << where;
  ASSERT_EQ(got.scalar_type(), wanted.scalar_type()) << where;
  EXPECT_TRUE(at::allclose(got.to(at::kDouble), wanted.to(at::kDouble), 1e-5, 1e-6, true)) << where;
}

/// The program gives what the graph gives, in its types; so does the graph that comes back of it.
inline void expect_lowered(GraphBuilder& g, std::vector<Arg> results, const std::string& operators) {
  const auto module = g.finish(std::move(results));
  const tflite::Model program = lower(*module);
  EXPECT_EQ(operators_of(program), operators);
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(program).run(g.inputs());
  ASSERT_EQ(got.size(), wanted.size());
  const auto back = model_of(program);
  const std::vector<at::Tensor> again = back->run(g.inputs());
  for (size_t i = 0; i < got.size(); ++i) {
    expect_equal(got[i], wanted[i], octet::str("result ", i, " of ", operators));
    expect_equal(again[i], wanted[i], octet::str("result ", i, " of the graph that comes back of ", operators));
  }
}

}  // namespace octet::test
