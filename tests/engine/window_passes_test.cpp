// Passes that write folds, pools by the size of their result, copies, and what has no batch, in operators of the NPU.

#include <gtest/gtest.h>

#include "octet/quantize/compare.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::PassCase;
using Sizes = std::vector<int64_t>;
using Nodes = std::vector<Arg>;
using Build = std::function<std::shared_ptr<GraphModule>(GraphBuilder&)>;

Build read_by_relu(const std::string& op, Sizes sizes, Nodes rest) {
  return [=](GraphBuilder& g) {
    Nodes args = {g.input(sizes)};
    args.insert(args.end(), rest.begin(), rest.end());
    return g.finish({g.call("aten.relu.default", {g.call(op, std::move(args))})});
  };
}

// The values of a pool that gives their places too.
Build first_of(const std::string& op, Sizes sizes, Sizes out, bool reads_places = false) {
  return [=](GraphBuilder& g) {
    Node* both = g.call(op, {g.input(sizes), out});
    std::vector<Arg> results = {g.call("aten.relu.default", {g.item(both, 0)})};
    if (reads_places) results.emplace_back(g.item(both, 1));
    return g.finish(results);
  };
}

Build along_a_dimension(const std::string& op, bool reads_places) {
  return [=](GraphBuilder& g) {
    Node* both = g.call(op, {g.input({2, 3, 5}), int64_t{-1}, true});
    std::vector<Arg> results = {g.call("aten.relu.default", {g.item(both, 0)})};
    if (reads_places) results.emplace_back(g.item(both, 1));
    return g.finish(results);
  };
}

PassCase fold(const std::string& name, Sizes sizes, Sizes image, Sizes kernel, Sizes dilation, Sizes padding,
              Sizes stride, const std::string& ops) {
  return {name, read_by_relu("aten.col2im.default", std::move(sizes), {image, kernel, dilation, padding, stride}),
          decompose_windows, ops};
}

Build unbatched(bool activates) {
  return [=](GraphBuilder& g) {
    Node* x = g.conv2d("first", g.input({3, 8, 6}), 3, 4);
    if (activates) x = g.call("aten.relu.default", {x});
    return g.finish({g.conv2d("second", x, 4, 2)});
  };
}

Build transposed(int64_t groups, int64_t in, int64_t out, bool has_bias) {
  return [=](GraphBuilder& g) {
    Node* x = g.input({2, in, 4, 3});
    Arg bias;
    if (has_bias) bias = g.parameter("bias", {out});
    return g.finish(
        {g.call("aten.conv_transpose2d.input", {x, g.parameter("weight", {in, out / groups, 3, 3}), bias, Sizes{2, 2},
                                                Sizes{1, 1}, Sizes{0, 0}, groups, Sizes{1, 1}})});
  };
}

Build dilated_transpose(Sizes dilation, Sizes padding = {1, 2}) {
  return [=](GraphBuilder& g) {
    return g.finish({g.call("aten.conv_transpose2d.input",
                            {g.input({2, 4, 4, 3}), g.parameter("weight", {4, 3, 3, 2}), g.parameter("bias", {6}),
                             Sizes{2, 1}, padding, Sizes{1, 0}, int64_t{2}, dilation})});
  };
}

// A convolution whose weight is an input.
Build with_computed_weight(const std::string& op, Sizes image, Sizes weight, Sizes stride, Sizes padding,
                           Sizes dilation, int64_t groups, bool has_bias) {
  return [=](GraphBuilder& g) {
    Node* x = g.input(image);
    Node* w = g.call("aten.relu.default", {g.input(weight)});
    Arg bias;
    if (has_bias) bias = g.parameter("bias", {weight.front()});
    return g.finish({g.call(op, {x, w, bias, stride, padding, dilation, groups})});
  };
}

Build linear_by_computed_weight(Sizes sizes, bool is_constant) {
  return [=](GraphBuilder& g) {
    Node* w = is_constant ? g.parameter("w", {5, sizes.back()}) : g.input({5, sizes.back()});
    Node* weight = g.call("aten.relu.default", {w});
    return g.finish({g.call("aten.linear.default", {g.input(sizes), weight, g.parameter("bias", {5})})});
  };
}

bool split_in_parts_of_four(GraphModule& module) { return split_transposed_groups(module, 4, 4); }
bool with_activations(GraphModule& module) {
  return add_batch_to_convolutions(module, [](const Node& node) { return node.is_call("aten.relu.default"); });
}

std::vector<PassCase> window_cases() {
  return {
      fold("fold_side_by_side", {2, 12, 6}, {4, 6}, {2, 2}, {1, 1}, {0, 0}, {2, 2},
           "reshape.default pixel_shuffle.default relu.default"),
      fold("fold_with_sums", {1, 18, 20}, {4, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1},
           "reshape.default conv_transpose2d.input relu.default"),
      fold("fold_of_many_channels", {1, 192 * 9, 4}, {3, 3}, {3, 3}, {1, 1}, {1, 1}, {2, 2},
           "reshape.default slice.Tensor conv_transpose2d.input slice.Tensor conv_transpose2d.input cat.default "
           "relu.default"),
      fold("fold_of_too_many_channels_declines", {1, 1999 * 9, 4}, {3, 3}, {3, 3}, {1, 1}, {1, 1}, {2, 2}, ""),
      fold("fold_apart", {2, 4, 4}, {5, 5}, {2, 2}, {2, 1}, {0, 1}, {2, 5},
           "reshape.default conv_transpose2d.input relu.default"),
      fold("fold_with_a_rest", {1, 8, 4}, {5, 5}, {2, 2}, {1, 1}, {0, 0}, {2, 2},
           "reshape.default conv_transpose2d.input relu.default"),
      {"uneven_average", read_by_relu("aten.adaptive_avg_pool2d.default", {2, 3, 7, 8}, {Sizes{3, 5}}),
       decompose_uneven_averages, "linear.default permute.default linear.default permute.default relu.default"},
      {"uneven_average_of_a_line", read_by_relu("aten.adaptive_avg_pool1d.default", {2, 3, 7}, {Sizes{3}}),
       decompose_uneven_averages, "linear.default relu.default"},
      {"even_average_declines", read_by_relu("aten.adaptive_avg_pool2d.default", {2, 3, 6, 8}, {Sizes{3, 4}}),
       decompose_uneven_averages, ""},
      {"greatest_of_all", first_of("aten.adaptive_max_pool2d.default", {2, 3, 7, 8}, {1, 1}), decompose_adaptive_maxima,
       "amax.default relu.default"},
      {"greatest_of_even_windows", first_of("aten.adaptive_max_pool2d.default", {2, 3, 6, 8}, {3, 2}),
       decompose_adaptive_maxima, "max_pool2d.default relu.default"},
      {"greatest_of_uneven_windows", first_of("aten.adaptive_max_pool2d.default", {2, 3, 5, 4}, {2, 4}),
       decompose_adaptive_maxima, "slice.Tensor amax.default slice.Tensor amax.default cat.default relu.default"},
      {"greatest_of_a_line", first_of("aten.adaptive_max_pool1d.default", {2, 3, 6}, {2}), decompose_adaptive_maxima,
       "max_pool1d.default relu.default"},
      {"greatest_along_a_dimension", along_a_dimension("aten.max.dim", false), decompose_adaptive_maxima,
       "amax.default relu.default"},
      {"least_along_a_dimension", along_a_dimension("aten.min.dim", false), decompose_adaptive_maxima,
       "amin.default relu.default"},
      {"greatest_along_a_dimension_and_its_place_decline", along_a_dimension("aten.max.dim", true),
       decompose_adaptive_maxima, ""},
      {"greatest_whose_places_are_read_declines",
       first_of("aten.adaptive_max_pool2d.default", {2, 3, 6, 8}, {3, 2}, true), decompose_adaptive_maxima, ""},
      {"repeat", read_by_relu("aten.repeat.default", {2, 3, 4}, {Sizes{1, 3, 2}}), decompose_copies,
       "cat.default cat.default relu.default"},
      {"repeat_of_samples_declines", read_by_relu("aten.repeat.default", {2, 3}, {Sizes{2, 1}}), decompose_copies, ""},
      {"repeat_often_declines", read_by_relu("aten.repeat.default", {2, 3}, {Sizes{1, 40}}), decompose_copies, ""},
      {"samples_one_behind_the_other",
       read_by_relu("aten.repeat_interleave.self_int", {2, 3}, {int64_t{3}, int64_t{0}}), decompose_copies,
       "reshape.default cat.default reshape.default relu.default"},
      {"samples_one_behind_the_other_often",
       read_by_relu("aten.repeat_interleave.self_int", {1, 2, 3}, {int64_t{64}, int64_t{0}}), decompose_copies,
       "reshape.default mul.Tensor reshape.default relu.default"},
      {"elements_one_behind_the_other_often",
       read_by_relu("aten.repeat_interleave.self_int", {2, 3, 4}, {int64_t{70}, int64_t{1}}), decompose_copies,
       "reshape.default cat.default slice.Tensor cat.default reshape.default relu.default"},
      {"elements_one_behind_the_other_too_often_decline",
       read_by_relu("aten.repeat_interleave.self_int", {2, 3}, {int64_t{1025}, int64_t{1}}), decompose_copies, ""},
      {"once_behind_the_other", read_by_relu("aten.repeat_interleave.self_int", {2, 3}, {int64_t{1}, int64_t{1}}),
       decompose_copies, "relu.default"},
      {"repeat_with_more_dimensions_declines", read_by_relu("aten.repeat.default", {2, 3}, {Sizes{1, 1, 4}}),
       decompose_copies, ""},
      {"repeat_of_single_elements_often", read_by_relu("aten.repeat.default", {1, 1, 3}, {Sizes{1, 40, 1}}),
       decompose_copies, "mul.Tensor relu.default"},
      {"repeat_of_single_elements_of_samples_often", read_by_relu("aten.repeat.default", {2, 1, 3}, {Sizes{1, 70, 1}}),
       decompose_copies, "cat.default slice.Tensor cat.default relu.default"},
      {"expand", read_by_relu("aten.expand.default", {2, 3, 1, 4}, {Sizes{-1, -1, 5, -1}}), decompose_copies,
       "cat.default relu.default"},
      {"expand_often", read_by_relu("aten.expand.default", {1, 3, 1}, {Sizes{-1, -1, 40}}), decompose_copies,
       "mul.Tensor relu.default"},
      {"expand_of_samples_often", read_by_relu("aten.expand.default", {2, 3, 1}, {Sizes{-1, -1, 64}}), decompose_copies,
       "cat.default cat.default relu.default"},
      {"expand_of_samples_too_often_declines", read_by_relu("aten.expand.default", {2, 3, 1}, {Sizes{-1, -1, 1025}}),
       decompose_copies, ""},
      {"sum_of_a_row_and_a_column",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.add.Tensor", {g.input({2, 3, 1}), g.input({2, 1, 4})})});
       },
       decompose_copies, "cat.default add.Tensor"},
      {"sum_that_has_its_size_declines",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.add.Tensor", {g.input({2, 3, 4}), g.input({2, 1, 4})})});
       },
       decompose_copies, ""},
      {"expand_of_samples_declines", read_by_relu("aten.expand.default", {1, 3}, {Sizes{5, -1}}), decompose_copies, ""},
      {"convolutions_without_batch", unbatched(false), with_activations,
       "reshape.default conv2d.default conv2d.default reshape.default"},
      {"convolutions_without_batch_and_activations", unbatched(true), with_activations,
       "reshape.default conv2d.default relu.default conv2d.default reshape.default"},
      {"lines_without_batch",
       [](GraphBuilder& g) {
         Node* x = g.call("aten.conv1d.default", {g.input({3, 9}), g.parameter("w", {4, 3, 3}), g.parameter("b", {4})});
         return g.finish({g.call("aten.relu.default", {x})});
       },
       with_activations, "reshape.default conv1d.default relu.default reshape.default"},
      {"transposed_kernels_with_steps", dilated_transpose(Sizes{2, 3}), spread_transposed_kernels,
       "conv_transpose2d.input"},
      {"transposed_kernels_with_one_step", dilated_transpose(Sizes{2}), spread_transposed_kernels,
       "conv_transpose2d.input"},
      {"transposed_kernels_far_apart_decline", dilated_transpose(Sizes{1000, 400}, Sizes{1000, 200}),
       spread_transposed_kernels, ""},
      {"transposed_kernels_without_steps_decline", dilated_transpose(Sizes{1, 1}), spread_transposed_kernels, ""},
      {"computed_weight_of_groups",
       with_computed_weight("aten.conv2d.default", {1, 6, 7, 5}, {4, 3, 3, 2}, {2, 1}, {1, 0}, {1, 2}, 2, true),
       decompose_computed_weights,
       "relu.default im2col.default reshape.default reshape.default bmm.default reshape.default reshape.default "
       "add.Tensor"},
      {"computed_weight_of_points",
       with_computed_weight("aten.conv2d.default", {1, 6, 4, 5}, {4, 6, 1, 1}, {1, 1}, {0, 0}, {1, 1}, 1, false),
       decompose_computed_weights, "relu.default reshape.default reshape.default bmm.default reshape.default"},
      {"computed_weight_of_each_channel",
       with_computed_weight("aten.conv2d.default", {1, 3, 4, 5}, {3, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, 3, false),
       decompose_computed_weights,
       "relu.default im2col.default reshape.default reshape.default bmm.default reshape.default"},
      {"computed_weight_along_a_line",
       with_computed_weight("aten.conv1d.default", {1, 4, 9}, {6, 2, 3}, {2}, {1}, {1}, 2, true),
       decompose_computed_weights,
       "relu.default reshape.default im2col.default reshape.default reshape.default bmm.default reshape.default "
       "reshape.default add.Tensor"},
      {"computed_weight_of_two_samples_declines",
       with_computed_weight("aten.conv2d.default", {2, 3, 4, 5}, {3, 1, 3, 3}, {1, 1}, {1, 1}, {1, 1}, 3, false),
       decompose_computed_weights, ""},
      {"linear_by_a_computed_weight", linear_by_computed_weight({2, 3, 4}, false), decompose_computed_weights,
       "relu.default reshape.default transpose.int reshape.default bmm.default reshape.default reshape.default "
       "add.Tensor"},
      {"linear_by_a_weight_of_parameters_declines", linear_by_computed_weight({2, 3, 4}, true),
       decompose_computed_weights, ""},
      {"transposed_groups_in_one", transposed(2, 4, 6, true), split_in_parts_of_four, "conv_transpose2d.input"},
      {"transposed_groups_in_parts", transposed(8, 8, 8, true), split_in_parts_of_four,
       "slice.Tensor conv_transpose2d.input slice.Tensor conv_transpose2d.input slice.Tensor conv_transpose2d.input "
       "slice.Tensor conv_transpose2d.input cat.default"},
      {"transposed_groups_without_bias", transposed(2, 2, 2, false), split_in_parts_of_four, "conv_transpose2d.input"},
      {"transposed_groups_beyond_the_limit_decline", transposed(17, 17, 17, false), split_in_parts_of_four, ""},
      {"instance_norm_by_statistics",
       [](GraphBuilder& g) {
         return g.finish(
             {g.call("aten.instance_norm.default", {g.input({2, 3, 4, 4}), g.parameter("w", {3}), g.parameter("b", {3}),
                                                    g.tensor("mean", at::randn({3})),
                                                    g.tensor("var", at::rand({3}) + 0.5), false, 0.1, 1e-3, false})});
       },
       rename_instance_norms, "batch_norm.default"},
      {"instance_norm_of_its_own_declines",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.instance_norm.default",
                                 {g.input({2, 3, 4, 4}), Arg(), Arg(), Arg(), Arg(), true, 0.1, 1e-3, false})});
       },
       rename_instance_norms, ""},
  };
}

class WindowPassTest : public testing::TestWithParam<PassCase> {};

TEST_P(WindowPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Cases, WindowPassTest, testing::ValuesIn(window_cases()),
                         [](const auto& each) { return each.param.name; });

// Behind the pass the pool is a part, and the product what the float model's pool is: before a comparison as after it.
TEST(ScaledAverages, TheProductStandsForThePool) {
  GraphBuilder g;
  Node* x = g.input({1, 2, 7, 7});
  Node* pool = g.call("aten.avg_pool2d.default", {x, Sizes{3, 3}, Sizes{2, 2}, Sizes{1, 1}, false, false});
  const auto written = g.finish({g.call("aten.relu.default", {pool})});
  const auto rewritten = written->copy();
  ASSERT_TRUE(scale_padded_averages(*rewritten));
  const auto first_of = [](const GraphModule& module, const char* op) {
    for (const Node* node : module.graph().nodes()) {
      if (node->is_call(op)) return node;
    }
    return static_cast<const Node*>(nullptr);
  };
  const Node* part = first_of(*rewritten, "aten.avg_pool2d.default");
  const Node* product = first_of(*rewritten, "aten.mul.Tensor");
  const FloatNodes in_written(*written), in_rewritten(*rewritten);
  EXPECT_EQ(in_written.of(*product), first_of(*written, "aten.avg_pool2d.default"));
  EXPECT_EQ(in_written.of(*part), nullptr);
  EXPECT_EQ(in_rewritten.of(*product), product);
}

}  // namespace
}  // namespace octet::targets
