// Passes that compute what is written in place, and in masked places, as values of their own.

#include <gtest/gtest.h>

#include <limits>

#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::PassCase;
using Sizes = std::vector<int64_t>;

Node* slice(GraphBuilder& g, Node* x, int64_t dim, int64_t start, int64_t end, int64_t step = 1) {
  return g.call("aten.slice.Tensor", {x, dim, start, end, step});
}

Node* zeros(GraphBuilder& g, const Sizes& sizes) { return g.call("aten.zeros.default", {sizes}); }

std::vector<PassCase> writes() {
  return {
      {"into_the_middle",
       [](auto& g) {
         Node* y = zeros(g, {2, 9});
         g.call("aten.copy_.default", {slice(g, slice(g, y, 0, 0, INT64_MAX), 1, 2, 5), g.input({2, 3})});
         return g.finish({y});
       },
       replace_writes, "zeros.default slice.Tensor slice.Tensor slice.Tensor cat.default clone.default"},
      {"into_a_place_of_a_computed_value",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 4, 3})});
         Node* before = g.call("aten.neg.default", {y});
         g.call("aten.copy_.default", {g.call("aten.select.int", {y, int64_t{1}, int64_t{-1}}), g.input({2, 1})});
         return g.finish({y, before});
       },
       replace_writes, "exp.default neg.default expand.default unsqueeze.default slice.Tensor cat.default"},
      {"two_parts_and_a_view_read_behind",
       [](auto& g) {
         Node* y = zeros(g, {2, 6});
         Node* left = slice(g, y, 1, 0, 3);
         g.call("aten.copy_.default", {left, g.input({2, 3})});
         g.call("aten.copy_.default", {slice(g, y, 1, 2, 6), g.input({2, 4})});
         return g.finish({y, g.call("aten.relu.default", {left})});
       },
       replace_writes, "slice.Tensor cat.default slice.Tensor relu.default"},
      {"sum_into_a_part",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         g.call("aten.add_.Tensor", {slice(g, y, 1, 0, 4), g.input({2, 4})});
         return g.finish({y});
       },
       replace_writes, "exp.default slice.Tensor add.Tensor slice.Tensor cat.default"},
      {"sum_onto_zeros",
       [](auto& g) {
         Node* y = zeros(g, {2, 6});
         return g.finish({g.call("aten.add_.Tensor", {y, g.input({2, 6})})});
       },
       replace_writes, "zeros.default add.Tensor"},
      {"mask_of_constants",
       [](auto& g) {
         Node* seen = g.tensor("seen", at::rand({3, 3}) > 0.5);
         Node* y = g.call("aten.masked_fill_.Scalar", {zeros(g, {3, 3}), seen, -5.0});
         return g.finish({g.call("aten.add.Tensor", {g.input({3, 3}), y})});
       },
       replace_writes, "zeros.default masked_fill.Scalar add.Tensor"},
      {"activation_declines",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         return g.finish({g.call("aten.relu_.default", {g.call("aten.neg_.default", {y})})});
       },
       replace_writes, ""},
      {"comparison_with_zeros_declines",
       [](auto& g) {
         Node* y = g.call("aten.lt_.Tensor", {zeros(g, {2, 6}), g.input({2, 6})});
         return g.finish({g.call("aten.neg.default", {y})});
       },
       replace_writes, ""},
      {"every_second",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         g.call("aten.copy_.default", {slice(g, y, 1, 1, 6, 2), g.input({2, 3})});
         return g.finish({y});
       },
       replace_writes, "exp.default unflatten.int slice.Tensor unsqueeze.default cat.default flatten.using_ints"},
      {"a_step_that_leaves_a_rest",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 7})});
         g.call("aten.copy_.default", {slice(g, y, 1, 1, 7, 4), g.input({2, 2})});
         return g.finish({y});
       },
       replace_writes, "exp.default slice.Tensor slice.Tensor slice.Tensor slice.Tensor slice.Tensor cat.default"},
      {"many_steps_that_leave_a_rest_decline",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 51})});
         g.call("aten.copy_.default", {slice(g, y, 1, 0, 51, 2), g.input({2, 26})});
         return g.finish({y});
       },
       replace_writes, ""},
      {"number_into_a_part",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         g.call("aten.fill_.Scalar", {slice(g, y, 1, 0, 4), 1.5});
         g.call("aten.zero_.default", {g.call("aten.select.int", {y, int64_t{1}, int64_t{5}})});
         return g.finish({y});
       },
       replace_writes,
       "exp.default full.default expand.default slice.Tensor full.default expand.default unsqueeze.default "
       "slice.Tensor "
       "cat.default"},
      {"number_of_a_tensor_over_all",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         Node* before = g.call("aten.neg.default", {y});
         g.call("aten.fill_.Tensor", {y, g.tensor("number", at::scalar_tensor(3, at::kLong))});
         return g.finish({y, before});
       },
       replace_writes, "exp.default neg.default to.dtype expand.default clone.default"},
      {"through_a_permutation",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 3, 4, 5})});
         Node* last = g.call("aten.permute.default", {y, Sizes{0, 2, 3, 1}});
         g.call("aten.copy_.default", {slice(g, last, -1, 0, 1), g.input({2, 4, 5, 1})});
         return g.finish({y});
       },
       replace_writes, "exp.default permute.default slice.Tensor cat.default permute.default"},
      {"through_other_sizes",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 3, 4})});
         Node* flat = g.call("aten.view.default", {y, Sizes{2, 12}});
         g.call("aten.copy_.default", {slice(g, flat, 1, 5, 7), g.input({2, 2})});
         return g.finish({y});
       },
       replace_writes, "exp.default view.default slice.Tensor slice.Tensor cat.default reshape.default"},
      {"what_a_concatenation_joined_and_then_changed_is_cut_out_of_it",
       [](auto& g) {
         Node* first = g.call("aten.exp.default", {g.input({2, 3})});
         Node* y = g.call("aten.cat.default", {std::vector<Arg>{first, g.input({2, 3})}, int64_t{1}});
         Node* changed = g.call("aten.neg_.default", {first});
         g.call("aten.copy_.default", {slice(g, y, 1, 3, 6), g.input({2, 3})});
         return g.finish({y, changed});
       },
       replace_writes, "exp.default cat.default neg_.default slice.Tensor cat.default"},
      {"memory_without_numbers",
       [](auto& g) {
         Node* x = g.input({2, 6});
         Node* y = g.call("aten.empty_like.default", {x});
         g.call("aten.copy_.default", {slice(g, y, 1, 0, 3), slice(g, x, 1, 3, 6)});
         g.call("aten.copy_.default", {slice(g, y, 1, 3, 6), slice(g, x, 1, 0, 3)});
         return g.finish({y});
       },
       replace_writes, "slice.Tensor slice.Tensor cat.default"},
      {"memory_of_these_sizes",
       [](auto& g) {
         Node* y = g.call("aten.empty.memory_format", {Sizes{2, 6}});
         g.call("aten.copy_.default", {slice(g, y, 1, 0, 6), g.input({2, 6})});
         g.call("aten.copy_.default", {slice(g, y, 1, 0, 2), g.input({2, 2})});
         return g.finish({y});
       },
       replace_writes, "clone.default slice.Tensor cat.default"},
      {"a_whole_write_that_is_read_through_its_place",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         g.call("aten.neg_.default", {y});
         return g.finish({g.call("aten.tanh.default", {y})});
       },
       replace_writes, "exp.default neg_.default tanh.default"},
      {"samples_decline",
       [](auto& g) {
         Node* y = g.call("aten.exp.default", {g.input({2, 6})});
         g.call("aten.copy_.default", {slice(g, y, 0, 0, 1), g.input({1, 6})});
         return g.finish({y});
       },
       replace_writes, ""},
      {"pieces_of_a_split_read_behind_decline",
       [](auto& g) {
         Node* y = zeros(g, {2, 6});
         Node* piece = g.item(g.call("aten.split.Tensor", {y, int64_t{3}, int64_t{1}}), 1);
         g.call("aten.copy_.default", {slice(g, y, 1, 2, 5), g.input({2, 3})});
         return g.finish({y, g.call("aten.relu.default", {piece})});
       },
       replace_writes, ""},
  };
}

// As windows are told apart for attention: parts of a constant, in its first dimension too.
TEST(WrittenConstants, AreFoldedWithTheirWrites) {
  GraphBuilder g;
  Node* x = g.input({2, 6, 4});
  Node* seen = g.call("aten.new_zeros.default", {x, Sizes{6, 4}});
  for (const auto& [start, end, number] : {std::tuple(0, 3, 1.0), std::tuple(3, 6, 2.0)}) {
    g.call("aten.fill_.Scalar", {slice(g, slice(g, seen, 0, start, end), 1, -3, -1), number});
  }
  Node* hidden = g.call("aten.ne.Scalar", {seen, 0.0});
  const auto module = g.finish({g.call("aten.masked_fill.Scalar", {x, hidden, 7.0})});
  const auto before = module->copy();
  const std::vector<Pass> passes = {{"replace_writes", replace_writes}, {"fold_known_outputs", [](GraphModule& graph) {
                                                                           return fold_known_outputs(graph, false);
                                                                         }}};
  EXPECT_GT(run_passes(*module, passes), 0);
  module->graph().eliminate_dead_code();
  EXPECT_EQ(test::ops_of(*module), "masked_fill.Scalar");
  test::expect_same_results(*before, *module, g.inputs());
}

// What is written starts anew in each run, also where nothing takes its writes apart.
TEST(WrittenConstants, StayComputed) {
  GraphBuilder g;
  Node* y = zeros(g, {2, 6});
  g.call("aten.copy_.default", {g.call("aten.diagonal.default", {y}), g.input({2})});
  Node* sum = zeros(g, {2, 6});
  g.call("aten.add_.Tensor", {sum, y});
  const auto module = g.finish({sum});
  const auto before = module->copy();
  fold_known_outputs(*module, false);
  for (int run = 0; run < 3; ++run) test::expect_same_results(*before, *module, g.inputs());
}

PassCase masked(const std::string& name, double value, bool before_softmax, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            const at::Tensor hidden = (at::rand({1, 4, 4}) > 0.5).logical_and(at::eye(4).logical_not());
            Node* x = g.call("aten.exp.default", {g.input({2, 4, 4})});
            Node* y = g.call("aten.masked_fill.Scalar", {x, g.tensor("hidden", hidden), value});
            return g.finish({before_softmax ? g.call("aten.softmax.int", {y, int64_t{-1}}) : y});
          },
          decompose_masks, "exp.default " + ops};
}

// Scores that are hidden by a number which does not swallow them.
PassCase hidden_rows(const std::string& name, const at::Tensor& hidden, int64_t dim, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            Node* y = g.call("aten.masked_fill.Scalar", {g.input({2, 4, 4}), g.tensor("hidden", hidden), -2000.0});
            return g.finish({g.call("aten.softmax.int", {y, dim})});
          },
          decompose_masks, ops};
}

PassCase chosen(const std::string& name, bool value_first, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            Node* x = g.input({2, 4});
            Node* other = g.tensor("other", at::randn({4}));
            Node* seen = g.tensor("seen", at::tensor({1, 0, 0, 1}).to(at::kBool));
            return g.finish({g.call("aten.where.self", {seen, value_first ? x : other, value_first ? other : x})});
          },
          decompose_masks, ops};
}

std::vector<PassCase> masks() {
  return {
      masked("zeros", 0.0, false, "mul.Tensor"),
      masked("a_number", 1.5, false, "mul.Tensor add.Tensor"),
      masked("infinity", -std::numeric_limits<double>::infinity(), false, "add.Tensor"),
      masked("low_for_a_softmax", -1e9, true, "add.Tensor softmax.int"),
      masked("low_for_others", -1e9, false, "mul.Tensor add.Tensor"),
      hidden_rows("a_row_without_any_left", at::tensor({0, 1, 0, 1}).to(at::kBool).view({4, 1}), -1,
                  "mul.Tensor add.Tensor softmax.int"),
      hidden_rows("a_softmax_of_columns", at::eye(4).logical_not().tril(), -2, "mul.Tensor add.Tensor softmax.int"),
      {"infinite_where_it_is_hidden_declines",
       [](auto& g) {
         Node* x = g.call("aten.log.default", {g.call("aten.relu.default", {g.input({2, 4})})});
         Node* hidden = g.tensor("hidden", at::ones({4}, at::kBool));
         return g.finish({g.call("aten.masked_fill.Scalar", {x, hidden, 0.0})});
       },
       decompose_masks, ""},
      {"hidden_twice_declines",
       [](auto& g) {
         Node* low = g.tensor("low", at::full({4}, -std::numeric_limits<float>::infinity()));
         Node* x = g.call("aten.add.Tensor", {g.input({2, 4}), low});
         Node* hidden = g.tensor("hidden", at::ones({4}, at::kBool));
         return g.finish({g.call("aten.masked_fill.Scalar", {x, hidden, 0.0})});
       },
       decompose_masks, ""},
      chosen("where", true, "mul.Tensor add.Tensor"),
      chosen("where_not", false, "mul.Tensor add.Tensor"),
      {"what_a_mask_puts",
       [](auto& g) {
         Node* x = g.input({2, 3, 4});
         Node* seen = g.tensor("seen", at::rand({3, 4}) > 0.5);
         Node* number = g.tensor("number", at::scalar_tensor(2, at::kLong));
         return g.finish({g.call("aten.index_put.default", {x, std::vector<Arg>{Arg(), Arg(seen)}, number})});
       },
       decompose_masks, "mul.Tensor add.Tensor"},
      {"what_an_index_fills",
       [](auto& g) {
         Node* index = g.tensor("index", at::tensor({0, -1}, at::kLong));
         return g.finish({g.call("aten.index_fill.int_Scalar", {g.input({2, 3, 4}), int64_t{1}, index, 0.5})});
       },
       decompose_masks, "mul.Tensor add.Tensor"},
      {"lower_triangle",
       [](auto& g) {
         return g.finish({g.call("aten.tril.default", {g.input({2, 3, 4}), int64_t{-1}})});
       },
       decompose_masks, "mul.Tensor"},
      {"upper_triangle",
       [](auto& g) {
         return g.finish({g.call("aten.triu.default", {g.input({3, 4}), int64_t{1}})});
       },
       decompose_masks, "mul.Tensor"},
      {"two_indices_decline",
       [](auto& g) {
         Node* x = g.input({4, 4});
         Node* row = g.tensor("row", at::tensor({1, 2}, at::kLong));
         return g.finish({g.call("aten.index_put.default",
                                 {x, std::vector<Arg>{Arg(row), Arg(row)}, g.tensor("number", at::zeros({}))})});
       },
       decompose_masks, ""},
      {"computed_mask_declines",
       [](auto& g) {
         Node* x = g.input({2, 4});
         return g.finish({g.call("aten.masked_fill.Scalar", {x, g.call("aten.gt.Scalar", {x, 0.0}), 1.0})});
       },
       decompose_masks, ""},
  };
}

class WritePassTest : public testing::TestWithParam<PassCase> {};

TEST_P(WritePassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

const auto kWriteName = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(Writes, WritePassTest, testing::ValuesIn(writes()), kWriteName);
INSTANTIATE_TEST_SUITE_P(Masks, WritePassTest, testing::ValuesIn(masks()), kWriteName);

}  // namespace
}  // namespace octet::targets
