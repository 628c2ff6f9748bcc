// Norms over rows, made of operators that a target has.
#include <gtest/gtest.h>

#include "octet/quantize/compare.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

const std::string kSquares = "reshape.default reshape.default bmm.default reshape.default ";
const std::string kInverse =
    "abs.default linear.default add.Tensor rsqrt.default mul.Tensor mul.Tensor mul.Tensor mul.Tensor " +
    (kSquares + "mul.Tensor add.Tensor rsqrt.default mul.Tensor");

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
  const std::string centered = "linear.default sub.Tensor " + kInverse + " mul.Tensor";
  const auto spread = [](GraphBuilder& g, const Ints& sizes) {
    return g.call("aten.add.Tensor", {g.call("aten.mul.Tensor", {g.input(sizes), 3.0}), 0.5});
  };
  return {
      {"layer_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {2, 5, 12}), Ints{12}, g.parameter("w", {12}),
                                                             g.parameter("b", {12}), 1e-3})});
       },
       decompose_norms, "mul.Tensor add.Tensor reshape.default " + centered + " reshape.default mul.Tensor add.Tensor"},
      {"layer_norm_over_two_dimensions",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {2, 3, 4, 5}), Ints{4, 5},
                                                             g.parameter("w", {4, 5}), g.parameter("b", {4, 5})})});
       },
       decompose_norms, "mul.Tensor add.Tensor reshape.default " + centered + " reshape.default mul.Tensor add.Tensor"},
      {"layer_norm_without_weight",
       [=](auto& g) {
         return g.finish({g.call("aten.layer_norm.default", {spread(g, {6, 12}), Ints{12}})});
       },
       decompose_norms, "mul.Tensor add.Tensor " + centered},
      {"rms_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.rms_norm.default", {spread(g, {2, 12}), Ints{12}, g.parameter("w", {12})})});
       },
       decompose_norms, "mul.Tensor add.Tensor " + kInverse + " mul.Tensor mul.Tensor"},
      {"group_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.group_norm.default", {spread(g, {2, 6, 3, 4}), int64_t{3}, g.parameter("w", {6}),
                                                             g.parameter("b", {6}), 1e-4})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered +
           " reshape.default reshape.default mul.Tensor reshape.default add.Tensor"},
      {"instance_norm",
       [=](auto& g) {
         return g.finish({g.call("aten.instance_norm.default", {spread(g, {2, 3, 4, 5}), g.parameter("w", {3}), Arg(),
                                                                Arg(), Arg(), true, 0.1, 1e-5, true})});
       },
       decompose_norms,
       "mul.Tensor add.Tensor reshape.default " + centered + " reshape.default reshape.default mul.Tensor"},
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

Node* layer_norm(GraphBuilder& g, Node* x, int64_t channels) {
  return g.call("aten.layer_norm.default",
                {x, Ints{channels}, g.parameter("nw", {channels}), g.parameter("nb", {channels}), 1e-3});
}

Node* group_norm(GraphBuilder& g, Node* x, int64_t channels) {
  return g.call("aten.group_norm.default",
                {x, int64_t{3}, g.parameter("nw", {channels}), g.parameter("nb", {channels}), 1e-3});
}

Node* conv2d(GraphBuilder& g, Node* x, const Ints& weight, int64_t padding, int64_t groups) {
  return g.call("aten.conv2d.default",
                {x, g.parameter("cw", weight), Arg(), Ints{1, 1}, Ints{padding, padding}, Ints{1, 1}, groups});
}

bool fold_and_decompose(GraphModule& module) {
  const bool folded = fold_norms(module);
  return decompose_norms(module) || folded;
}

std::vector<test::PassCase> fold_cases() {
  return {
      {"norm_to_linears",
       [](auto& g) {
         Node* norm = layer_norm(g, g.input({2, 5, 12}), 12);
         Node* plain = g.call("aten.linear.default", {norm, g.parameter("pw", {3, 12})});
         return g.finish({g.linear("a", norm, 12, 4), plain});
       },
       fold_norms, "layer_norm.default linear.default linear.default"},
      {"nothing_is_left_to_compute",
       [](auto& g) {
         return g.finish({g.linear("a", layer_norm(g, g.input({5, 12}), 12), 12, 4)});
       },
       fold_and_decompose, "linear.default sub.Tensor " + kInverse + " mul.Tensor linear.default"},
      {"rms_norm_to_linear",
       [](auto& g) {
         Node* norm = g.call("aten.rms_norm.default", {g.input({2, 12}), Ints{12}, g.parameter("w", {12})});
         return g.finish({g.linear("a", norm, 12, 4)});
       },
       fold_norms, "rms_norm.default linear.default"},
      {"norm_without_weight_declines",
       [](auto& g) {
         return g.finish({g.linear("a", g.call("aten.layer_norm.default", {g.input({6, 12}), Ints{12}}), 12, 4)});
       },
       fold_norms, ""},
      {"group_norm_to_grouped_convolution",
       [](auto& g) {
         return g.finish({conv2d(g, group_norm(g, g.input({2, 6, 4, 5}), 6), {4, 3, 2, 3}, 0, 2)});
       },
       fold_norms, "group_norm.default conv2d.default"},
      {"norm_moved_to_convolution",
       [](auto& g) {
         Node* rolled = g.call("aten.roll.default", {layer_norm(g, g.input({2, 4, 4, 6}), 6), Ints{1, 1}, Ints{1, 2}});
         Node* image = g.call("aten.permute.default", {rolled, Ints{0, 3, 1, 2}});
         return g.finish({conv2d(g, image, {4, 6, 2, 2}, 0, 1)});
       },
       fold_norms, "layer_norm.default roll.default permute.default conv2d.default"},
      {"norm_of_tokens_to_head",
       [](auto& g) {
         Node* norm = layer_norm(g, g.input({2, 5, 6}), 6);
         Node* first = g.call("aten.select.int", {g.call("aten.slice.Tensor", {norm, 1, 1, 4}), 1, 0});
         Node* mean = g.call("aten.mean.dim", {norm, Ints{1}});
         return g.finish({g.linear("a", first, 6, 4), g.linear("b", mean, 6, 4)});
       },
       fold_norms, "layer_norm.default slice.Tensor select.int mean.dim linear.default linear.default"},
      {"pooled_norm_to_head",
       [](auto& g) {
         Node* pooled =
             g.call("aten.adaptive_avg_pool2d.default", {group_norm(g, g.input({2, 6, 4, 4}), 6), Ints{1, 1}});
         return g.finish({g.linear("a", g.call("aten.flatten.using_ints", {pooled, 1}), 6, 4)});
       },
       fold_norms, "group_norm.default adaptive_avg_pool2d.default flatten.using_ints linear.default"},
      {"norm_of_windows_to_linear",
       [](auto& g) {
         Node* windows = g.call("aten.reshape.default", {layer_norm(g, g.input({2, 4, 4, 6}), 6), Ints{2, 2, 2, 4, 6}});
         Node* turned = g.call("aten.transpose.int", {windows, 2, 3});
         return g.finish({g.linear("a", g.call("aten.reshape.default", {turned, Ints{-1, 4, 6}}), 6, 4)});
       },
       fold_norms, "layer_norm.default reshape.default transpose.int reshape.default linear.default"},
      {"norm_beside_its_linear_declines",
       [](auto& g) {
         Node* norm = layer_norm(g, g.input({2, 12}), 12);
         return g.finish({g.call("aten.add.Tensor", {g.linear("a", norm, 12, 12), norm})});
       },
       fold_norms, ""},
      {"norm_as_result_declines",
       [](auto& g) {
         Node* norm = layer_norm(g, g.input({2, 12}), 12);
         return g.finish({g.linear("a", norm, 12, 12), norm});
       },
       fold_norms, ""},
      {"norm_to_padding_convolution_declines",
       [](auto& g) {
         return g.finish({conv2d(g, group_norm(g, g.input({2, 6, 4, 5}), 6), {4, 6, 3, 3}, 1, 1)});
       },
       fold_norms, ""},
      {"norm_to_shared_weight_declines",
       [](auto& g) {
         Node* weight = g.parameter("w", {12, 12});
         Node* first = g.call("aten.linear.default", {layer_norm(g, g.input({2, 12}), 12), weight});
         return g.finish({g.call("aten.linear.default", {first, weight})});
       },
       fold_norms, ""},
      {"norm_of_mixed_channels_declines",
       [](auto& g) {
         Node* mixed = g.call("aten.reshape.default", {layer_norm(g, g.input({2, 4, 6}), 6), Ints{2, 3, 8}});
         return g.finish({g.linear("a", mixed, 8, 4)});
       },
       fold_norms, ""},
      {"norm_of_other_channels_declines",
       [](auto& g) {
         Node* turned = g.call("aten.transpose.int", {layer_norm(g, g.input({2, 6, 6}), 6), 1, 2});
         return g.finish({g.linear("a", turned, 6, 4)});
       },
       fold_norms, ""},
      {"norm_with_averaged_channels_declines",
       [](auto& g) {
         Node* mean = g.call("aten.mean.dim", {layer_norm(g, g.input({2, 6, 6}), 6), Ints{2}});
         return g.finish({g.linear("a", mean, 6, 4)});
       },
       fold_norms, ""},
      {"norm_to_linear_without_outputs_declines",
       [](auto& g) {
         return g.finish({g.linear("a", layer_norm(g, g.input({2, 12}), 12), 12, 0)});
       },
       fold_norms, ""},
      {"norm_over_two_dimensions_declines",
       [](auto& g) {
         Node* norm = g.call("aten.layer_norm.default",
                             {g.input({2, 3, 4, 5}), Ints{4, 5}, g.parameter("w", {4, 5}), g.parameter("b", {4, 5})});
         return g.finish({g.linear("a", norm, 5, 4)});
       },
       fold_norms, ""},
  };
}

class NormPass : public testing::TestWithParam<test::PassCase> {};

TEST_P(NormPass, KeepsResults) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Norms, NormPass, testing::ValuesIn(norm_cases()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(FoldedNorms, NormPass, testing::ValuesIn(fold_cases()),
                         [](const auto& test) { return test.param.name; });

// A file's sizes need not fit each other: the run says so.
TEST(FoldedNorms, TakeNoWeightsOfOtherSizes) {
  for (const auto& [name, sizes] : {std::pair<const char*, Ints>{"a.weight", {4, 6}},
                                    {"a.weight", {4, 0}},
                                    {"a.weight", {48}},
                                    {"a.bias", {3}},
                                    {"nw", {5}},
                                    {"nb", {5}}}) {
    GraphBuilder g;
    const auto module = g.finish({g.linear("a", layer_norm(g, g.input({2, 12}), 12), 12, 4)});
    module->set_attr(name, at::ones(sizes), AttrKind::kParameter);
    EXPECT_FALSE(fold_norms(*module)) << name << sizes;
  }
}

// What is compared by name with the float model has its values.
TEST(FoldedNorms, AreNotTheFloatModelsNorms) {
  GraphBuilder g;
  const auto module = g.finish({g.linear("a", layer_norm(g, g.input({2, 12}), 12), 12, 4)});
  ASSERT_TRUE(fold_norms(*module));
  EXPECT_EQ(float_name(*module->graph().find("layer_norm")), "layer_norm/plain");
  EXPECT_EQ(float_name(*module->graph().find("linear")), "linear");
}

}  // namespace
}  // namespace octet::targets
