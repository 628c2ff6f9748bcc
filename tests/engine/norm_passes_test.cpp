// Norms over rows, made of operators that a target has.
#include <gtest/gtest.h>

#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

const std::string kInverseRoot = "reshape.default reshape.default bmm.default reshape.default add.Tensor rsqrt.default";

// What torch's normalize becomes, behind rename_views and drop_expands; without a bound where eps is 0.
std::function<std::shared_ptr<GraphModule>(GraphBuilder&)> unit_rows(const Ints& sizes, const Ints& dims, double order,
                                                                     double eps) {
  return [=](GraphBuilder& g) {
    Node* x = g.call("aten.relu.default", {g.input(sizes)});
    Node* length = g.call("aten.linalg_vector_norm.default", {x, order, dims, true});
    if (eps > 0.0) length = g.call("aten.clamp.default", {length, eps});
    return g.finish({g.call("aten.div.Tensor", {x, length})});
  };
}

std::vector<test::PassCase> norm_cases() {
  const std::string centered = "linear.default sub.Tensor " + kInverseRoot + " mul.Tensor ";
  const auto spread = [](GraphBuilder& g, const Ints& sizes) {
    return g.call("aten.add.Tensor", {g.call("aten.mul.Tensor", {g.input(sizes), 3.0}), 0.5});
  };
  return {
      {"layer_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {2, 5, 12}), Ints{12}, g.parameter("w", {12}),
                                                             g.parameter("b", {12}), 1e-3})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered + "reshape.default mul.Tensor mul.Tensor add.Tensor"},
      {"layer_norm_over_two_dimensions",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {2, 3, 4, 5}), Ints{4, 5},
                                                             g.parameter("w", {4, 5}), g.parameter("b", {4, 5})})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered + "reshape.default mul.Tensor mul.Tensor add.Tensor"},
      {"layer_norm_without_weight",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {6, 12}), Ints{12}})});
       },
       decompose_norms, "mul.Tensor add.Tensor " + centered + "mul.Tensor"},
      {"rms_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.rms_norm.default", {spread(g, {2, 12}), Ints{12}, g.parameter("w", {12})})});
       },
       decompose_norms, "mul.Tensor add.Tensor " + kInverseRoot + " mul.Tensor mul.Tensor mul.Tensor"},
      {"group_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.group_norm.default", {spread(g, {2, 6, 3, 4}), int64_t{3}, g.parameter("w", {6}),
                                                             g.parameter("b", {6}), 1e-4})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered +
           "reshape.default reshape.default mul.Tensor mul.Tensor reshape.default add.Tensor"},
      {"instance_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.instance_norm.default", {spread(g, {2, 3, 4, 5}), g.parameter("w", {3}), Arg(),
                                                                Arg(), Arg(), true, 0.1, 1e-5, true})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered + "reshape.default reshape.default mul.Tensor mul.Tensor"},
      {"instance_norm_by_statistics_declines",
       [=](auto& g) {
         return g.finish(
             {g.call("aten.instance_norm.default", {spread(g, {2, 3, 4, 5}), Arg(), Arg(), g.parameter("m", {3}),
                                                    g.parameter("v", {3}), true, 0.1, 1e-5, true})});
       },
       decompose_norms, "", /*is_random=*/true},
      {"rows_of_length_1", unit_rows({2, 5, 12}, {-1}, 2.0, 1e-12), decompose_norms,
       "relu.default reshape.default reshape.default reshape.default bmm.default reshape.default clamp.default "
       "rsqrt.default mul.Tensor reshape.default"},
      {"rows_of_length_1_without_a_bound", unit_rows({2, 12}, {1}, 2.0, 0.0), decompose_norms,
       "relu.default reshape.default reshape.default bmm.default reshape.default clamp.default rsqrt.default "
       "mul.Tensor"},
      {"channels_of_length_1_and_more", unit_rows({2, 6, 3, 4}, {1}, 2.0, 2.0), decompose_norms,
       "relu.default permute.default reshape.default reshape.default reshape.default bmm.default reshape.default "
       "clamp.default rsqrt.default mul.Tensor reshape.default permute.default"},
      {"rows_of_another_norm_decline", unit_rows({2, 12}, {1}, 1.0, 1e-12), decompose_norms, ""},
      {"columns_of_samples_decline", unit_rows({4, 12}, {0}, 2.0, 1e-12), decompose_norms, ""},
      {"rows_too_long_declines",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {1, 70000}), Ints{70000}})});
       },
       decompose_norms, ""},
      {"one_element_declines",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {4, 1}), Ints{1}})});
       },
       decompose_norms, ""},
  };
}

class NormPass : public testing::TestWithParam<test::PassCase> {};

TEST_P(NormPass, KeepsResults) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Norms, NormPass, testing::ValuesIn(norm_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace octet::targets
