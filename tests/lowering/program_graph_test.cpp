// From an int8 program back to a graph, and to a program again.

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/neutron/target.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"

namespace octet {
namespace {

// "op_add/neutron_0"
std::vector<std::string> all_programs() {
  std::vector<std::string> programs;
  for (const std::string& name : test::GoldenCase::all()) {
    for (int k = 0; test::GoldenCase(name).has(octet::str("neutron_", k, ".tflite")); ++k) {
      programs.push_back(octet::str(name, "/neutron_", k));
    }
  }
  return programs;
}

class ProgramGraph : public testing::TestWithParam<std::string> {};

TEST_P(ProgramGraph, LowersToTheSameIntegersAgain) {
  const tflite::Model program = tflite::read(test::data("golden/cases/" + GetParam() + ".tflite"));
  const auto graph = graph_of(program);
  const tflite::Model again = lower(*graph);
  std::vector<at::Tensor> given, turned;
  for (size_t j = 0; j < program.inputs.size(); ++j) {
    const auto& shape = program.tensors[static_cast<size_t>(program.inputs[j])].shape;
    given.push_back(at::randint(-128, 128, shape, at::kChar));
    const bool is_nhwc = graph->graph().placeholders().at(j)->sizes() != shape;
    turned.push_back(is_nhwc ? given.back().permute({0, 3, 1, 2}).contiguous() : given.back());
  }
  const auto wanted = integer::Executor(program).run(given);
  const auto got = integer::Executor(again).run(turned);
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t j = 0; j < got.size(); ++j) {
    const at::Tensor result = got[j].sizes() == wanted[j].sizes() ? got[j] : got[j].permute({0, 2, 3, 1});
    ASSERT_EQ(result.sizes(), wanted[j].sizes());
    EXPECT_TRUE(at::equal(result, wanted[j])) << test::operators_of(again) << "\nof " << test::operators_of(program);
  }
}

// They are what the reference gives to the NPU.
TEST_P(ProgramGraph, RunsOnTheNpu) {
  const auto graph = graph_of(tflite::read(test::data("golden/cases/" + GetParam() + ".tflite")));
  const targets::Placement placement = targets::place(*graph, neutron::target(NeutronTargetSpec("imxrt700")));
  for (const targets::OperatorPlacement& each : placement.operators) {
    EXPECT_TRUE(each.partition) << each.op << ": " << each.reason;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ProgramGraph, testing::ValuesIn(all_programs()), [](const auto& each) {
  std::string name = each.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

}  // namespace
}  // namespace octet
