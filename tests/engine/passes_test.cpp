#include <gtest/gtest.h>

#include "octet/support/error.h"
#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::ops_of;
using Ints = std::vector<int64_t>;

// What a target might compute together: products with weights, and an activation behind.
bool takes(const Node& node) {
  return node.is_call("aten.conv2d.default") || node.is_call("aten.addmm.default") || node.is_call("aten.mm.default") ||
         (node.is_call("aten.linear.default") && node.meta()->rank() == 2);
}
bool joins(const Node& node) {
  if (node.is_call("aten.hardtanh.default") || node.is_call("aten.hardtanh_.default")) {
    return clips_at(node, {{0.0, 6.0}, {0.0, std::nullopt}});
  }
  for (const char* op : {"relu", "relu_", "relu6", "relu6_", "sigmoid", "sigmoid_", "tanh", "tanh_"}) {
    if (node.is_call() && node.op().short_name() == op) return true;
  }
  return false;
}

bool norms(GraphModule& module) { return put_convolutions_before_batch_norms(module, /*trains=*/false); }
bool moves(GraphModule& module) { return move_activations_before_concat(module, takes, joins); }
bool conv1d(GraphModule& module) { return convert_conv1d_to_conv2d(module, joins); }
bool known(GraphModule& module) { return fold_known_outputs(module, /*keep_shared=*/false); }
bool known_keep(GraphModule& module) { return fold_known_outputs(module, /*keep_shared=*/true); }

Node* conv1d_node(GraphBuilder& g, Node* x, Arg bias, int64_t groups_of = 1) {
  return g.call("aten.conv1d.default", {x, g.parameter("c.weight", {6, 4 / groups_of, 3}), std::move(bias), Ints{2},
                                        Ints{1}, Ints{1}, groups_of});
}

std::shared_ptr<GraphModule> pool(GraphBuilder& g, const std::string& op, Ints sizes, std::vector<Arg> rest) {
  rest.insert(rest.begin(), Arg(g.input(sizes)));
  return g.finish({g.call(op, std::move(rest))});
}

std::shared_ptr<GraphModule> split(GraphBuilder& g, const std::string& op, Arg how, int64_t dim,
                                   std::vector<int64_t> read) {
  Node* pieces = g.call(op, {g.input({2, 7, 5}), std::move(how), dim});
  std::vector<Arg> results;
  for (const int64_t index : read) results.emplace_back(g.call("aten.relu.default", {g.item(pieces, index)}));
  return g.finish(std::move(results));
}

std::shared_ptr<GraphModule> gru(GraphBuilder& g, bool bidirectional, double dropout, bool train) {
  std::vector<Arg> params;
  const int64_t directions = bidirectional ? 2 : 1;
  for (int64_t layer = 0; layer < 3; ++layer) {
    for (int64_t d = 0; d < directions; ++d) {
      const std::string name = str("l", layer, "d", d, ".");
      const int64_t in = layer == 0 ? 4 : 5 * directions;
      params.emplace_back(g.parameter(name + "w_ih", {15, in}));
      params.emplace_back(g.parameter(name + "w_hh", {15, 5}));
      params.emplace_back(g.parameter(name + "b_ih", {15}));
      params.emplace_back(g.parameter(name + "b_hh", {15}));
    }
  }
  Node* x = g.input({2, 6, 4});
  Node* hidden = g.tensor("hx", at::randn({3 * directions, 2, 5}));
  Node* both =
      g.call("aten.gru.input", {x, hidden, Arg(params), true, int64_t{3}, dropout, train, bidirectional, true});
  return g.finish({g.item(both, 0), g.item(both, 1)});
}

std::shared_ptr<GraphModule> linear_add(GraphBuilder& g, bool bias, Ints other, double alpha, bool first) {
  Node* weight = g.parameter("l.weight", {6, 4});
  Node* linear =
      g.call("aten.linear.default", {g.input({3, 4}), weight, bias ? Arg(g.parameter("l.bias", {6})) : Arg()});
  Node* constant = g.parameter("other", other);
  return g.finish(
      {g.call("aten.add.Tensor", {first ? linear : constant, first ? constant : linear}, {{"alpha", alpha}})});
}

std::shared_ptr<GraphModule> cat_then(GraphBuilder& g, const std::string& activation, bool second_reader) {
  Node* x = g.input({1, 3, 6, 6});
  Node* a = g.conv2d("a", x, 3, 4);
  Node* b = g.conv2d("b", x, 3, 5);
  Node* cat = g.call("aten.cat.default", {Arg(std::vector<Arg>{a, b}), int64_t{1}});
  Node* end = g.call(activation, {cat});
  return second_reader ? g.finish({end, g.call("aten.neg.default", {a})}) : g.finish({end});
}

std::shared_ptr<GraphModule> every_nth(GraphBuilder& g, const Ints& sizes, int64_t dim, int64_t start, int64_t end,
                                       int64_t step) {
  Node* x = g.call("aten.relu.default", {g.input(sizes)});
  return g.finish({g.call("aten.slice.Tensor", {x, dim, start, end, step})});
}

std::vector<test::PassCase> cases() {
  return {
      // 2-D pools over inputs without a batch
      {"pool_max",
       [](auto& g) {
         return pool(g, "aten.max_pool2d.default", {3, 8, 8}, {Ints{2, 2}});
       },
       add_batch_to_pools, "reshape.default max_pool2d.default reshape.default"},
      {"pool_adaptive",
       [](auto& g) {
         return pool(g, "aten.adaptive_avg_pool2d.default", {3, 8, 8}, {Ints{2, 4}});
       },
       add_batch_to_pools, "reshape.default adaptive_avg_pool2d.default reshape.default"},
      {"pool_avg",
       [](auto& g) {
         return pool(g, "aten.avg_pool2d.default", {3, 8, 8}, {Ints{2, 2}});
       },
       add_batch_to_pools, "reshape.default avg_pool2d.default reshape.default"},
      {"pool_with_batch_declines",
       [](auto& g) {
         return pool(g, "aten.max_pool2d.default", {1, 3, 8, 8}, {Ints{2, 2}});
       },
       add_batch_to_pools, ""},
      // splits
      {"split_equal",
       [](auto& g) {
         return split(g, "aten.split.Tensor", int64_t{3}, 1, {0, 1, 2});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default slice.Tensor relu.default"},
      {"split_out_of_order",
       [](auto& g) {
         return split(g, "aten.split.Tensor", int64_t{3}, 1, {2, 0});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default"},
      {"split_with_sizes_negative_dim",
       [](auto& g) {
         return split(g, "aten.split_with_sizes.default", Ints{1, 4}, -1, {0, 1});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default"},
      {"split_sizes",
       [](auto& g) {
         return split(g, "aten.split.sizes", Ints{6, 1}, 1, {1});
       },
       decompose_splits, "slice.Tensor relu.default"},
      {"chunk",
       [](auto& g) {
         return split(g, "aten.chunk.default", int64_t{3}, 1, {0, 1, 2});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default slice.Tensor relu.default"},
      {"split_single", [](auto& g) { return split(g, "aten.split.Tensor", int64_t{9}, 1, {0}); }, decompose_splits,
       "relu.default"},
      {"unbind",
       [](auto& g) {
         Node* pieces = g.call("aten.unbind.int", {g.input({2, 3, 4}), int64_t{-2}});
         return g.finish({g.item(pieces, 2), g.item(pieces, 0)});
       },
       decompose_splits, "slice.Tensor squeeze.dim slice.Tensor squeeze.dim"},
      {"unbind_single",
       [](auto& g) {
         return g.finish({g.item(g.call("aten.unbind.int", {g.input({2, 1, 4}), int64_t{1}}), 0)});
       },
       decompose_splits, "squeeze.dim"},
      {"tensor_split_sections",
       [](auto& g) {
         return split(g, "aten.tensor_split.sections", int64_t{3}, 1, {0, 2});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default"},
      {"tensor_split_indices",
       [](auto& g) {
         return split(g, "aten.tensor_split.indices", Ints{2, -1}, 1, {0, 1, 2});
       },
       decompose_splits, "slice.Tensor relu.default slice.Tensor relu.default slice.Tensor relu.default"},
      // slices with a step
      {"every_second_pixel_of_an_image",
       [](auto& g) {
         Node* image = g.call("aten.relu.default", {g.conv2d("c", g.input({2, 3, 9, 8}), 3, 4)});
         Node* rows = g.call("aten.slice.Tensor", {image, int64_t{2}, int64_t{1}, INT64_MAX, int64_t{2}});
         return g.finish({g.call("aten.slice.Tensor", {rows, int64_t{-1}, int64_t{0}, int64_t{-2}, int64_t{3}})});
       },
       decompose_strided_slices,
       "conv2d.default relu.default slice.Tensor max_pool2d.default slice.Tensor max_pool2d.default"},
      {"every_second_row",
       [](auto& g) {
         return every_nth(g, {2, 8, 3}, 1, 0, INT64_MAX, 2);
       },
       decompose_strided_slices, "relu.default reshape.default slice.Tensor"},
      {"every_third_from_the_second_on",
       [](auto& g) {
         return every_nth(g, {2, 3, 10}, -1, 1, -1, 3);
       },
       decompose_strided_slices, "relu.default slice.Tensor reshape.default slice.Tensor reshape.default"},
      {"every_second_of_seven",
       [](auto& g) {
         return every_nth(g, {2, 7, 7, 5}, 1, 0, 7, 2);
       },
       decompose_strided_slices, "relu.default pad.default reshape.default slice.Tensor reshape.default"},
      {"every_fourth_from_behind",
       [](auto& g) {
         return every_nth(g, {2, 11}, 1, -9, INT64_MAX, 4);
       },
       decompose_strided_slices, "relu.default pad.default reshape.default slice.Tensor reshape.default"},
      {"every_second_sample_declines",
       [](auto& g) {
         return every_nth(g, {4, 3}, 0, 0, INT64_MAX, 2);
       },
       decompose_strided_slices, ""},
      {"every_second_row_that_is_written_declines",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 8})});
         Node* rows = g.call("aten.slice.Tensor", {x, int64_t{1}, int64_t{0}, INT64_MAX, int64_t{2}});
         Node* written = g.call("aten.relu_.default", {rows});
         return g.finish({x, written});
       },
       decompose_strided_slices, ""},
      // GRU
      {"gru_layers", [](auto& g) { return gru(g, false, 0.0, false); }, split_gru_layers,
       "slice.Tensor gru.input slice.Tensor gru.input slice.Tensor gru.input cat.default"},
      {"gru_bidirectional", [](auto& g) { return gru(g, true, 0.3, false); }, split_gru_layers,
       "slice.Tensor gru.input slice.Tensor gru.input slice.Tensor gru.input cat.default"},
      {"gru_active_dropout_declines", [](auto& g) { return gru(g, false, 0.3, true); }, split_gru_layers, "", true},
      // constants
      {"known_transpose",
       [](auto& g) {
         Node* t = g.call("aten.t.default", {g.parameter("w", {6, 4})});
         return g.finish({g.call("aten.mm.default", {g.input({3, 4}), t})});
       },
       known, "mm.default"},
      {"known_chain_without_inputs",
       [](auto& g) {
         Node* zeros = g.call("aten.zeros.default", {Ints{3, 4}});
         Node* ones = g.call("aten.cos.default", {zeros});
         return g.finish({g.call("aten.add.Tensor", {g.input({3, 4}), ones})});
       },
       known, "add.Tensor"},
      {"known_pieces",
       [](auto& g) {
         Node* pieces = g.call("aten.split.Tensor", {g.parameter("w", {6, 4}), int64_t{3}});
         Node* x = g.input({3, 4});
         return g.finish(
             {g.call("aten.add.Tensor", {x, g.item(pieces, 1)}), g.call("aten.sub.Tensor", {x, g.item(pieces, 0)})});
       },
       known, "add.Tensor sub.Tensor"},
      {"known_random_declines",
       [](auto& g) {
         Node* mask = g.call("aten.bernoulli.p", {g.parameter("w", {3, 4}), 1.0});
         return g.finish({g.call("aten.mul.Tensor", {g.input({3, 4}), mask})});
       },
       known, ""},
      {"known_written_declines",
       [](auto& g) {
         Node* count = g.tensor("count", at::zeros({3, 4}));
         Node* doubled = g.call("aten.mul.Tensor", {count, count});
         Node* result = g.call("aten.add.Tensor", {g.input({3, 4}), doubled});
         g.call("aten.zero_.default", {count});
         return g.finish({result});
       },
       known, ""},
      {"known_tied_declines_in_training",
       [](auto& g) {
         Node* w = g.parameter("w", {4, 4});
         Node* x = g.input({3, 4});
         Node* tied = g.call("aten.mm.default", {x, w});
         return g.finish({tied, g.call("aten.mm.default", {x, g.call("aten.t.default", {w})})});
       },
       known_keep, ""},
      {"known_computed_from_a_parameter_declines_in_training",
       [](auto& g) {
         Node* scaled = g.call("aten.mul.Tensor", {g.parameter("w", {4, 4}), g.parameter("gain", {4, 1})});
         return g.finish({g.call("aten.mm.default", {g.input({3, 4}), scaled})});
       },
       known_keep, ""},
      {"known_moved_for_one_reader_in_training",
       [](auto& g) {
         return g.finish(
             {g.call("aten.mm.default", {g.input({3, 4}), g.call("aten.t.default", {g.parameter("w", {4, 4})})})});
       },
       known_keep, "mm.default"},
      // linear + constant
      {"linear_add_bias", [](auto& g) { return linear_add(g, true, {6}, 1.0, true); }, fuse_linear_and_add,
       "linear.default"},
      {"linear_add_no_bias_alpha", [](auto& g) { return linear_add(g, false, {6}, 2.5, true); }, fuse_linear_and_add,
       "linear.default"},
      {"linear_add_second_declines", [](auto& g) { return linear_add(g, true, {6}, 1.0, false); }, fuse_linear_and_add,
       ""},
      {"linear_add_shape_declines",
       [](auto& g) {
         return linear_add(g, true, {3, 6}, 1.0, true);
       },
       fuse_linear_and_add, ""},
      {"linear_add_scalar_declines", [](auto& g) { return linear_add(g, true, {1}, 1.0, true); }, fuse_linear_and_add,
       ""},
      {"linear_add_two_readers_declines",
       [](auto& g) {
         Node* linear = g.linear("l", g.input({3, 4}), 4, 6);
         return g.finish({g.call("aten.add.Tensor", {linear, g.parameter("c", {6})}), linear});
       },
       fuse_linear_and_add, ""},
      // activation before concat
      {"concat_relu", [](auto& g) { return cat_then(g, "aten.relu.default", false); }, moves,
       "conv2d.default relu.default conv2d.default relu.default cat.default"},
      {"concat_relu_in_place", [](auto& g) { return cat_then(g, "aten.relu_.default", false); }, moves,
       "conv2d.default relu_.default conv2d.default relu_.default cat.default"},
      {"concat_two_readers_declines", [](auto& g) { return cat_then(g, "aten.relu.default", true); }, moves, ""},
      {"concat_hardtanh_bounds_decline", [](auto& g) { return cat_then(g, "aten.hardtanh.default", false); }, moves,
       ""},
      {"concat_hardswish_declines", [](auto& g) { return cat_then(g, "aten.hardswish.default", false); }, moves, ""},
      {"concat_of_inputs_declines",
       [](auto& g) {
         Node* cat = g.call("aten.cat.default", {Arg(std::vector<Arg>{g.input({1, 2}), g.input({1, 3})}), int64_t{1}});
         return g.finish({g.call("aten.relu.default", {cat})});
       },
       moves, ""},
      // division
      {"div_scalar",
       [](auto& g) {
         return g.finish({g.call("aten.div.Scalar", {g.input({2, 8}), 3.0})});
       },
       convert_div_to_mul, "mul.Tensor"},
      {"div_static",
       [](auto& g) {
         Node* by = g.tensor("by", at::rand({8}) + 0.5);
         return g.finish({g.call("aten.div.Tensor", {g.input({2, 8}), by})});
       },
       convert_div_to_mul, "mul.Tensor"},
      {"div_nearly_zero_declines",
       [](auto& g) {
         Node* by = g.tensor("by", at::tensor({1.0F, 1e-13F}));
         return g.finish({g.call("aten.div.Tensor", {g.input({3, 2}), by})});
       },
       convert_div_to_mul, ""},
      {"div_dynamic_declines",
       [](auto& g) {
         return g.finish({g.call("aten.div.Tensor", {g.input({3, 2}), g.input({3, 2})})});
       },
       convert_div_to_mul, ""},
      // pads that cut
      {"pad_cuts",
       [](auto& g) {
         return g.finish({g.call("aten.pad.default", {g.input({1, 2, 6, 7}), Ints{-1, 2, 1, -3}, "constant", 0.5})});
       },
       cut_negative_pads, "slice.Tensor slice.Tensor pad.default"},
      {"pad_only_cuts",
       [](auto& g) {
         return g.finish({g.call("aten.constant_pad_nd.default", {g.input({2, 6}), Ints{-2, -1}, 1.0})});
       },
       cut_negative_pads, "slice.Tensor"},
      {"pad_adds_declines",
       [](auto& g) {
         return g.finish({g.call("aten.pad.default", {g.input({1, 2, 6, 7}), Ints{1, 2}, "constant", 0.5})});
       },
       cut_negative_pads, ""},
      {"pad_reflects_declines",
       [](auto& g) {
         return g.finish({g.call("aten.pad.default", {g.input({2, 6, 7}), Ints{1, -1}, "reflect"})});
       },
       cut_negative_pads, ""},
      // one-dimensional convolutions
      {"conv1d_relu",
       [](auto& g) {
         return g.finish({g.call("aten.relu.default", {conv1d_node(g, g.input({2, 4, 9}), g.parameter("b", {6}))})});
       },
       conv1d, "unsqueeze.default conv2d.default relu.default squeeze.dim"},
      {"conv1d_no_bias_bn_relu6",
       [](auto& g) {
         Node* norm = g.batch_norm("n", conv1d_node(g, g.input({2, 4, 9}), Arg()), 6);
         return g.finish({g.call("aten.hardtanh.default", {norm, 0.0, 6.0})});
       },
       conv1d, "unsqueeze.default conv2d.default batch_norm.default hardtanh.default squeeze.dim"},
      {"conv1d_hardtanh_stays_outside",
       [](auto& g) {
         return g.finish({g.call("aten.hardtanh.default", {conv1d_node(g, g.input({2, 4, 9}), Arg())})});
       },
       conv1d, "unsqueeze.default conv2d.default squeeze.dim hardtanh.default"},
      {"conv1d_same",
       [](auto& g) {
         return g.finish({g.call("aten.conv1d.padding", {g.input({2, 4, 9}), g.parameter("w", {6, 4, 3}), Arg(),
                                                         Ints{1}, "same", Ints{2}, int64_t{1}})});
       },
       conv1d, "unsqueeze.default conv2d.padding squeeze.dim"},
      {"conv_transpose1d",
       [](auto& g) {
         return g.finish({g.call("aten.conv_transpose1d.default",
                                 {g.input({2, 4, 9}), g.parameter("w", {4, 6, 3}), g.parameter("b", {6}), Ints{2},
                                  Ints{1}, Ints{1}, int64_t{1}, Ints{1}})});
       },
       conv1d, "unsqueeze.default conv_transpose2d.input squeeze.dim"},
      {"conv1d_computed_weight",
       [](auto& g) {
         Node* scaled = g.call("aten.mul.Tensor", {g.parameter("w", {6, 4, 3}), g.parameter("gain", {6, 1, 1})});
         return g.finish({g.call("aten.conv1d.default", {g.input({2, 4, 9}), scaled})});
       },
       conv1d, "mul.Tensor unsqueeze.default unsqueeze.default conv2d.default squeeze.dim"},
      {"conv1d_unbatched_declines",
       [](auto& g) {
         return g.finish({conv1d_node(g, g.input({4, 9}), Arg())});
       },
       conv1d, ""},
      // numbers
      {"scalar_add",
       [](auto& g) {
         return g.finish({g.call("aten.add.Scalar", {g.input({2, 8}), 1.5}, {{"alpha", 2.0}})});
       },
       convert_scalars_to_attributes, "add.Tensor"},
      {"scalar_mul_int",
       [](auto& g) {
         return g.finish({g.call("aten.mul.Scalar", {g.input({2, 8}), int64_t{3}})});
       },
       convert_scalars_to_attributes, "mul.Tensor"},
      {"scalar_sub",
       [](auto& g) {
         return g.finish({g.call("aten.sub.Scalar", {g.input({2, 8}), 0.25})});
       },
       convert_scalars_to_attributes, "sub.Tensor"},
      {"scalar_in_place",
       [](auto& g) {
         return g.finish({g.call("aten.mul_.Scalar", {g.call("aten.neg.default", {g.input({2, 8})}), 0.5})});
       },
       convert_scalars_to_attributes, "neg.default mul_.Tensor"},
      {"scalar_of_tensors_declines",
       [](auto& g) {
         return g.finish({g.call("aten.add.Tensor", {g.input({2, 8}), g.input({8})})});
       },
       convert_scalars_to_attributes, ""},
      {"scalar_of_integers_declines",
       [](auto& g) {
         Node* ints = g.call("aten.argmax.default", {g.input({2, 8}), int64_t{1}});
         return g.finish({g.call("aten.add.Scalar", {ints, int64_t{1}})});
       },
       convert_scalars_to_attributes, ""},
      // BatchNorm
      {"bn_conv",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.conv2d("c", g.input({2, 3, 6, 6}), 3, 5), 5)});
       },
       fuse_batch_norms, "conv2d.default"},
      {"bn_transposed",
       [](auto& g) {
         Node* conv = g.call("aten.conv_transpose2d.input",
                             {g.input({2, 3, 6, 6}), g.parameter("w", {3, 5, 2, 2}), Arg(), Ints{2, 2}});
         return g.finish({g.batch_norm("n", conv, 5)});
       },
       fuse_batch_norms, "conv_transpose2d.input"},
      {"bn_linear",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.linear("l", g.input({4, 3}), 3, 5), 5)});
       },
       fuse_batch_norms, "linear.default"},
      {"bn_linear_rank_3_declines",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.linear("l", g.input({4, 5, 3}), 3, 6), 5)});
       },
       fuse_batch_norms, ""},
      {"bn_of_its_own",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.input({2, 3, 6, 6}), 3)});
       },
       norms, "conv2d.default batch_norm.default"},
      {"bn_of_its_own_rank_3",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.input({2, 3, 7}), 3)});
       },
       norms, "conv1d.default batch_norm.default"},
      {"bn_of_its_own_matrix",
       [](auto& g) {
         return g.finish({g.call("aten.relu.default", {g.batch_norm("n", g.input({4, 5}), 5)})});
       },
       norms, "unsqueeze.default conv1d.default batch_norm.default squeeze.dim relu.default"},
      {"bn_behind_a_shared_convolution",
       [](auto& g) {
         Node* conv = g.conv2d("c", g.input({2, 3, 6, 6}), 3, 5);
         return g.finish({g.batch_norm("n", conv, 5), conv});
       },
       norms, "conv2d.default conv2d.default batch_norm.default"},
      {"bn_of_its_own_volume_declines",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.input({1, 3, 4, 4, 4}), 3)});
       },
       norms, ""},
      {"bn_behind_a_convolution_declines",
       [](auto& g) {
         return g.finish({g.batch_norm("n", g.conv2d("c", g.input({2, 3, 6, 6}), 3, 5), 5)});
       },
       norms, ""},
      // views before linears
      {"view_before_linear_flatten",
       [](auto& g) {
         Node* linear = g.linear("l", g.input({2, 5, 4}), 4, 6);
         return g.finish({g.batch_norm("n", g.call("aten.flatten.using_ints", {linear, int64_t{0}, int64_t{1}}), 6)});
       },
       move_views_before_linears, "flatten.using_ints linear.default batch_norm.default"},
      {"view_before_linear_reshape",
       [](auto& g) {
         Node* linear = g.linear("l", g.input({2, 5, 4}), 4, 6);
         return g.finish({g.batch_norm("n", g.call("aten.reshape.default", {linear, Ints{-1, 6}}), 6)});
       },
       move_views_before_linears, "reshape.default linear.default batch_norm.default"},
      {"view_before_linear_other_columns_declines",
       [](auto& g) {
         Node* linear = g.linear("l", g.input({2, 5, 4}), 4, 6);
         return g.finish({g.batch_norm("n", g.call("aten.reshape.default", {linear, Ints{20, 3}}), 3)});
       },
       move_views_before_linears, ""},
      {"view_before_linear_two_readers_declines",
       [](auto& g) {
         Node* linear = g.linear("l", g.input({2, 5, 4}), 4, 6);
         return g.finish({g.batch_norm("n", g.call("aten.reshape.default", {linear, Ints{10, 6}}), 6), linear});
       },
       move_views_before_linears, ""},
      {"bn_two_readers_declines",
       [](auto& g) {
         Node* conv = g.conv2d("c", g.input({2, 3, 6, 6}), 3, 5);
         return g.finish({g.batch_norm("n", conv, 5), conv});
       },
       fuse_batch_norms, ""},
  };
}

class PassTest : public testing::TestWithParam<test::PassCase> {};

TEST_P(PassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Passes, PassTest, testing::ValuesIn(cases()),
                         [](const auto& test) { return test.param.name; });

TEST(PassManager, NamesAPassThatNeverRests) {
  GraphBuilder g;
  const auto module = g.finish({g.call("aten.relu.default", {g.input({1})})});
  try {
    run_passes(*module, {{"restless", [](GraphModule&) { return true; }}});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("restless"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace octet::targets
