// Convolutions of several groups, and several of one input.
#include <gtest/gtest.h>

#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

bool groups(GraphModule& module) { return split_group_convolutions(module, 2, 10, 4); }

Node* point_conv(GraphBuilder& g, const std::string& name, Node* x, int64_t channels, int64_t kernel, int64_t groups,
                 int64_t padding, int64_t dilation = 1) {
  return g.call("aten.conv2d.default", {x, g.parameter(name + ".weight", {channels, channels / groups, kernel, kernel}),
                                        g.parameter(name + ".bias", {channels}), Ints{1, 1}, Ints{padding, padding},
                                        Ints{dilation, dilation}, groups});
}

std::shared_ptr<GraphModule> branches(GraphBuilder& g, const std::function<Node*(Node*)>& first,
                                      const std::function<Node*(Node*)>& second, double alpha = 1.0) {
  Node* x = g.input({2, 8, 9, 9});
  Node* a = first(x);
  return g.finish({g.call("aten.add.Tensor", {a, second(x)}, {{"alpha", alpha}})});
}

Node* conv3d(GraphBuilder& g, Node* x, Ints weight, Ints stride, Ints padding, Ints dilation, int64_t groups = 1) {
  return g.call("aten.conv3d.default", {x, g.parameter("w", weight), g.parameter("b", {weight[0]}), std::move(stride),
                                        std::move(padding), std::move(dilation), groups});
}

constexpr const char* kImages =
    "permute.default slice.Tensor reshape.default slice.Tensor reshape.default slice.Tensor reshape.default "
    "cat.default reshape.default conv2d.default ";
constexpr const char* kVolume = "reshape.default permute.default";

std::vector<test::PassCase> volume_cases() {
  return {
      {"volume",
       [](auto& g) {
         return g.finish({conv3d(g, g.input({2, 3, 5, 6, 4}), {4, 3, 3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1})});
       },
       decompose_volumes, std::string(kImages) + kVolume},
      {"volume_padded_and_apart",
       [](auto& g) {
         return g.finish({conv3d(g, g.input({2, 3, 6, 6, 4}), {4, 3, 3, 3, 3}, {2, 2, 1}, {2, 1, 0}, {2, 1, 1})});
       },
       decompose_volumes, std::string("pad.default ") + kImages + kVolume},
      {"volume_of_flat_filters",
       [](auto& g) {
         return g.finish({conv3d(g, g.input({2, 3, 4, 6, 5}), {4, 3, 1, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1})});
       },
       decompose_volumes, std::string("permute.default reshape.default conv2d.default ") + kVolume},
      {"volume_of_groups",
       [](auto& g) {
         return g.finish({conv3d(g, g.input({1, 4, 5, 6, 4}), {6, 2, 3, 1, 2}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, 2)});
       },
       decompose_volumes, std::string(kImages) + kVolume},
      {"volume_by_channel",
       [](auto& g) {
         return g.finish({conv3d(g, g.input({1, 4, 5, 6, 4}), {4, 1, 3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1}, 4)});
       },
       decompose_volumes, std::string(kImages) + kVolume},
      {"volume_with_batch_norm_and_relu",
       [](auto& g) {
         Node* x = conv3d(g, g.input({2, 3, 5, 6, 4}), {4, 3, 3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1});
         x = g.call("aten.relu_.default", {g.batch_norm("n", x, 4)});
         return g.finish({g.call("aten.neg.default", {x})});
       },
       decompose_volumes, std::string(kImages) + "batch_norm.default relu_.default " + kVolume + " neg.default"},
      {"volume_that_two_read",
       [](auto& g) {
         Node* x = conv3d(g, g.input({2, 3, 5, 6, 4}), {4, 3, 3, 3, 3}, {1, 1, 1}, {0, 1, 1}, {1, 1, 1});
         return g.finish({g.call("aten.relu.default", {x}), x});
       },
       decompose_volumes, std::string(kImages) + kVolume + " relu.default"},
      {"maxima",
       [](auto& g) {
         return g.finish({g.call("aten.max_pool3d.default",
                                 {g.input({2, 3, 5, 6, 7}), Ints{3, 2, 2}, Ints{2, 2, 1}, Ints{1, 0, 1}})});
       },
       decompose_volume_pools,
       "permute.default reshape.default max_pool2d.default permute.default max_pool2d.default reshape.default"},
      {"averages",
       [](auto& g) {
         return g.finish({g.call("aten.avg_pool3d.default", {g.input({2, 3, 5, 6, 7}), Ints{3, 2, 2}, Ints{2, 2, 1},
                                                             Ints{1, 0, 1}, false, false})});
       },
       decompose_volume_pools,
       "permute.default reshape.default avg_pool2d.default permute.default avg_pool2d.default reshape.default"},
      {"averages_by_a_divisor_decline",
       [](auto& g) {
         return g.finish({g.call("aten.avg_pool3d.default", {g.input({2, 3, 4, 4, 4}), Ints{2, 2, 2}, Ints{2, 2, 2},
                                                             Ints{0, 0, 0}, false, true, int64_t{3}})});
       },
       decompose_volume_pools, ""},
      {"mean",
       [](auto& g) {
         return g.finish({g.call("aten.adaptive_avg_pool3d.default", {g.input({2, 3, 4, 5, 6}), Ints{1, 1, 1}})});
       },
       decompose_volume_pools, "reshape.default adaptive_avg_pool2d.default reshape.default"},
      {"means_decline",
       [](auto& g) {
         return g.finish({g.call("aten.adaptive_avg_pool3d.default", {g.input({2, 3, 4, 5, 6}), Ints{2, 1, 1}})});
       },
       decompose_volume_pools, ""},
  };
}

std::vector<test::PassCase> convolution_cases() {
  return {
      // grouped convolutions
      {"groups_4",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 8, 6, 6}), 8, 12, 4)});
       },
       groups,
       "slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor "
       "conv2d.default "
       "cat.default"},
      {"groups_depth_multiplier",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 2, 6, 6}), 2, 4, 2)});
       },
       groups, "slice.Tensor conv2d.default slice.Tensor conv2d.default cat.default"},
      {"groups_depthwise_declines",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 4, 6, 6}), 4, 4, 4)});
       },
       groups, ""},
      {"groups_16_in_8_parts",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 32, 6, 6}), 32, 48, 16)});
       },
       groups,
       "slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor "
       "conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default "
       "slice.Tensor conv2d.default cat.default"},
      {"groups_12_in_6_parts",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 24, 6, 6}), 24, 36, 12)});
       },
       groups,
       "slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor "
       "conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default cat.default"},
      {"three_filters_a_channel",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 13, 6, 5}), 13, 39, 13)});
       },
       groups,
       "conv2d.default conv2d.default conv2d.default cat.default reshape.default permute.default reshape.default"},
      {"eleven_filters_a_channel_decline",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 53, 6, 6}), 53, 583, 53)});
       },
       groups, ""},
      {"groups_13_in_10_parts",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 26, 6, 6}), 26, 39, 13)});
       },
       groups,
       "slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor "
       "conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default "
       "slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default cat.default"},
      {"groups_41_decline",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 82, 6, 6}), 82, 82, 41)});
       },
       groups, ""},
      {"groups_1_declines",
       [](auto& g) {
         return g.finish({g.conv2d("c", g.input({2, 4, 6, 6}), 4, 4, 1)});
       },
       groups, ""},
      {"groups_computed_weight_declines",
       [](auto& g) {
         Node* weight = g.call("aten.relu.default", {g.input({4, 2, 3, 3})});
         return g.finish({g.call("aten.conv2d.default", {g.input({1, 4, 6, 6}), weight, Arg(), Ints{1, 1}, Ints{0, 0},
                                                         Ints{1, 1}, int64_t{2}})});
       },
       groups, ""},
      // parallel convolutions
      {"parallel_3x3_and_1x1",
       [](auto& g) {
         return branches(
             g, [&](Node* x) { return point_conv(g, "a", x, 8, 3, 1, 1); },
             [&](Node* x) { return point_conv(g, "b", x, 8, 1, 1, 0); }, 0.5);
       },
       merge_parallel_convolutions, "conv2d.default"},
      {"parallel_depthwise_and_dense",
       [](auto& g) {
         return branches(
             g, [&](Node* x) { return point_conv(g, "a", x, 8, 1, 8, 0); },
             [&](Node* x) { return point_conv(g, "b", x, 8, 3, 2, 1); }, 2.0);
       },
       merge_parallel_convolutions, "conv2d.default"},
      {"parallel_dilated",
       [](auto& g) {
         return branches(
             g, [&](Node* x) { return point_conv(g, "a", x, 8, 3, 8, 2, 2); },
             [&](Node* x) { return point_conv(g, "b", x, 8, 5, 8, 2); });
       },
       merge_parallel_convolutions, "conv2d.default"},
      {"parallel_without_one_branch",
       [](auto& g) {
         Node* x = g.input({2, 8, 9, 9});
         Node* sum = g.call("aten.add.Tensor", {point_conv(g, "a", x, 8, 3, 1, 1), int64_t{0}});
         return g.finish({g.call("aten.add_.Tensor", {sum, point_conv(g, "b", x, 8, 1, 1, 0)})});
       },
       merge_parallel_convolutions, "conv2d.default"},
      {"parallel_taps_apart_declines",
       [](auto& g) {
         return branches(
             g, [&](Node* x) { return point_conv(g, "a", x, 8, 3, 1, 2, 2); },
             [&](Node* x) { return point_conv(g, "b", x, 8, 3, 1, 1); });
       },
       merge_parallel_convolutions, ""},
      {"parallel_dense_point_and_depthwise_declines",
       [](auto& g) {
         return branches(
             g, [&](Node* x) { return point_conv(g, "a", x, 8, 1, 1, 0); },
             [&](Node* x) { return point_conv(g, "b", x, 8, 3, 8, 1); });
       },
       merge_parallel_convolutions, ""},
      {"parallel_two_readers_declines",
       [](auto& g) {
         Node* x = g.input({2, 8, 9, 9});
         Node* a = point_conv(g, "a", x, 8, 3, 1, 1);
         return g.finish({g.call("aten.add.Tensor", {a, point_conv(g, "b", x, 8, 1, 1, 0)}), a});
       },
       merge_parallel_convolutions, ""},
      {"parallel_other_input_declines",
       [](auto& g) {
         Node* a = point_conv(g, "a", g.input({2, 8, 9, 9}), 8, 3, 1, 1);
         return g.finish({g.call("aten.add.Tensor", {a, point_conv(g, "b", g.input({2, 8, 9, 9}), 8, 1, 1, 0)})});
       },
       merge_parallel_convolutions, ""},
  };
}

class ConvolutionPassTest : public testing::TestWithParam<test::PassCase> {};

TEST_P(ConvolutionPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Volumes, ConvolutionPassTest, testing::ValuesIn(volume_cases()),
                         [](const auto& test) { return test.param.name; });
INSTANTIATE_TEST_SUITE_P(Passes, ConvolutionPassTest, testing::ValuesIn(convolution_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace octet::targets
