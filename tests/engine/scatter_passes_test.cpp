// Passes that take and put values at constant places, in operators of the NPU.

#include <gtest/gtest.h>

#include <limits>

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

Node* numbers(GraphBuilder& g, const std::string& name, const Sizes& values) {
  return g.tensor(name, at::tensor(values, at::kLong), AttrKind::kConstant);
}

Node* every(GraphBuilder& g, const std::string& name, int64_t step, int64_t count) {
  Sizes places(static_cast<size_t>(count));
  for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i) * step;
  return numbers(g, name, places);
}

Build of_rows(const std::string& op, Sizes into, int64_t dim, Sizes places, Sizes values) {
  return [=](GraphBuilder& g) {
    return g.finish({g.call(op, {g.input(into), dim, numbers(g, "places", places), g.input(values)})});
  };
}

Build turned(Sizes sizes, Sizes dims) {
  return [=](GraphBuilder& g) { return g.finish({g.call("aten.flip.default", {g.input(sizes), dims})}); };
}

std::string cat_of(size_t slices) {
  std::string ops;
  for (size_t i = 0; i < slices; ++i) ops += "slice.Tensor ";
  return ops + "cat.default";
}

std::vector<PassCase> takings() {
  return {
      {"flip", turned({2, 3, 4}, {-1, 1}), decompose_copies, cat_of(4) + " " + cat_of(3)},
      {"flip_of_many", turned({2, 39, 2}, {1}), decompose_copies,
       "reshape.default " + cat_of(13) + " " + cat_of(3) + " reshape.default"},
      {"flip_of_samples_declines", turned({2, 3}, {0}), decompose_copies, ""},
      {"flip_of_a_great_prime_declines", turned({2, 37}, {1}), decompose_copies, ""},
      {"index_of_pairs",
       [](GraphBuilder& g) {
         const std::vector<Arg> pairs = {Arg(), numbers(g, "rows", {1, 2, -1}), numbers(g, "columns", {0, 0, 1})};
         return g.finish({g.call("aten.index.Tensor", {g.input({2, 3, 3, 4}), Arg(pairs)})});
       },
       decompose_copies, "reshape.default slice.Tensor slice.Tensor cat.default"},
      {"index_by_a_matrix",
       [](GraphBuilder& g) {
         Node* places = g.tensor("places", at::tensor({2, 0, 1, 1}, at::kLong).reshape({2, 2}), AttrKind::kConstant);
         return g.finish({g.call("aten.index.Tensor", {g.input({2, 3, 4}), std::vector<Arg>{Arg(), Arg(places)}})});
       },
       decompose_copies, "slice.Tensor slice.Tensor slice.Tensor cat.default reshape.default"},
  };
}

std::vector<PassCase> scatters() {
  return {
      {"index_copy", of_rows("aten.index_copy.default", {2, 6, 3}, 1, {4, 1}, {2, 2, 3}), decompose_scatters,
       cat_of(5)},
      {"index_copy_to_many",
       [](GraphBuilder& g) {
         Node* into = g.call("aten.tanh.default", {g.input({2, 80})});
         return g.finish({g.call("aten.index_copy.default", {into, 1, every(g, "places", 2, 40), g.input({2, 40})})});
       },
       decompose_scatters, "tanh.default mul.Tensor linear.default add.Tensor"},
      {"index_copy_to_many_of_what_may_be_infinite",
       [](GraphBuilder& g) {
         Node* into = g.call("aten.log.default", {g.call("aten.exp.default", {g.input({2, 80})})});
         return g.finish({g.call("aten.index_copy.default", {into, 1, every(g, "places", 2, 40), g.input({2, 40})})});
       },
       decompose_scatters, "exp.default log.default cat.default index_select.default"},
      {"index_copy_along_samples_declines", of_rows("aten.index_copy.default", {6, 3}, 0, {4, 1}, {2, 3}),
       decompose_scatters, ""},
      {"index_add", of_rows("aten.index_add.default", {2, 4, 3}, 1, {3, 0, 3}, {2, 3, 3}), decompose_scatters,
       "permute.default linear.default permute.default add.Tensor"},
      {"index_add_to_zeros",
       [](GraphBuilder& g) {
         Node* zeros = g.tensor("zeros", at::zeros({2, 4}), AttrKind::kConstant);
         return g.finish(
             {g.call("aten.index_add.default", {zeros, 1, numbers(g, "places", {3, 0, 3}), g.input({2, 3})})});
       },
       decompose_scatters, "linear.default"},
      {"values_put_on_pairs",
       [](GraphBuilder& g) {
         const std::vector<Arg> pairs = {Arg(), numbers(g, "rows", {1, 2, -2}), numbers(g, "columns", {0, 0, 2})};
         return g.finish({g.call("aten.index_put.default", {g.input({2, 3, 3}), Arg(pairs), g.input({2, 3})})});
       },
       decompose_scatters, "reshape.default " + cat_of(6) + " reshape.default"},
      {"values_put_where_a_mask_is_true",
       [](GraphBuilder& g) {
         Node* mask = g.tensor("mask", at::tensor({1, 0, 1, 1}).to(at::kBool), AttrKind::kConstant);
         return g.finish({g.call("aten.index_put.default",
                                 {g.input({2, 4, 3}), std::vector<Arg>{Arg(), Arg(mask)}, g.input({2, 3, 3})})});
       },
       decompose_scatters, cat_of(3)},
      {"places_that_stand_twice_decline", of_rows("aten.index_copy.default", {2, 6, 3}, 1, {4, 4}, {2, 2, 3}),
       decompose_scatters, ""},
      {"scatter_of_rows",
       [](GraphBuilder& g) {
         Node* rows = g.tensor("rows", at::tensor({2, 0}, at::kLong).reshape({1, 2, 1}).expand({2, 2, 3}).contiguous(),
                               AttrKind::kConstant);
         return g.finish({g.call("aten.scatter.src", {g.input({2, 3, 3}), 1, rows, g.input({2, 2, 3})})});
       },
       decompose_scatters, cat_of(3)},
      {"scatter_add_of_elements",
       [](GraphBuilder& g) {
         const at::Tensor places = at::tensor({2, 0, 1, 1, 2, 2}, at::kLong).reshape({1, 2, 3}).expand({2, 2, 3});
         return g.finish({g.call("aten.scatter_add.default",
                                 {g.input({2, 3, 4}), 1, g.tensor("places", places.contiguous(), AttrKind::kConstant),
                                  g.input({2, 2, 3})})});
       },
       decompose_scatters, "reshape.default linear.default reshape.default add.Tensor"},
      {"scatter_that_differs_by_sample_declines",
       [](GraphBuilder& g) {
         Node* places = g.tensor("places", at::tensor({2, 0, 1, 1}, at::kLong).reshape({2, 2}), AttrKind::kConstant);
         return g.finish({g.call("aten.scatter.src", {g.input({2, 3}), 1, places, g.input({2, 2})})});
       },
       decompose_scatters, ""},
      {"computed_places_decline",
       [](GraphBuilder& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.scatter.src", {x, 1, g.call("aten.argsort.default", {x}), g.input({2, 3})})});
       },
       decompose_scatters, ""},
      {"values_put_on_a_diagonal",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.diagonal_scatter.default", {g.input({2, 3, 3}), g.input({2, 2}), 1, 1, 2})});
       },
       decompose_scatters, "reshape.default " + cat_of(5) + " reshape.default"},
  };
}

std::vector<PassCase> constants_put() {
  return {
      {"constants_put_on_places",
       [](GraphBuilder& g) {
         const std::vector<Arg> indices = {Arg(), numbers(g, "places", {2, 0})};
         return g.finish(
             {g.call("aten.index_put.default", {g.input({2, 3, 4}), Arg(indices), g.parameter("token", {4})})});
       },
       decompose_masks, "mul.Tensor add.Tensor"},
      {"number_scattered",
       [](GraphBuilder& g) {
         Node* places = g.tensor("places", at::tensor({2, 0, 2, 0}, at::kLong).reshape({2, 2}), AttrKind::kConstant);
         return g.finish({g.call("aten.scatter.value", {g.input({2, 3}), 1, places, 0.5})});
       },
       decompose_masks, "mul.Tensor add.Tensor"},
      {"number_scattered_otherwise_by_sample_declines",
       [](GraphBuilder& g) {
         Node* places = g.tensor("places", at::tensor({2, 0, 1, 0}, at::kLong).reshape({2, 2}), AttrKind::kConstant);
         return g.finish({g.call("aten.scatter.value", {g.input({2, 3}), 1, places, 0.5})});
       },
       decompose_masks, ""},
      {"constants_put_on_a_diagonal",
       [](GraphBuilder& g) {
         Node* values = g.tensor("values", at::tensor({0.5, 2.0, -1.0}).reshape({1, 3}).expand({2, 3}).contiguous());
         return g.finish({g.call("aten.diagonal_scatter.default", {g.input({2, 3, 4}), values, 0, 1, 2})});
       },
       decompose_masks, "mul.Tensor add.Tensor"},
      {"chosen_of_two",
       [](GraphBuilder& g) {
         Node* mask = g.tensor("mask", at::rand({3, 4}) > 0.5, AttrKind::kConstant);
         return g.finish({g.call("aten.where.self", {mask, g.input({2, 3, 4}), g.input({2, 3, 4})})});
       },
       decompose_masks, "mul.Tensor mul.Tensor add.Tensor"},
      {"chosen_of_a_row",
       [](GraphBuilder& g) {
         Node* mask = g.tensor("mask", at::rand({3, 1}) > 0.5, AttrKind::kConstant);
         return g.finish({g.call("aten.where.self", {mask, g.input({1, 1, 4}), g.input({1, 3, 4})})});
       },
       decompose_masks, "mul.Tensor mul.Tensor add.Tensor"},
      {"chosen_of_a_logarithm_declines",
       [](GraphBuilder& g) {
         Node* mask = g.tensor("mask", at::rand({3, 4}) > 0.5, AttrKind::kConstant);
         Node* x = g.input({2, 3, 4});
         return g.finish({g.call("aten.where.self", {mask, g.call("aten.exp.default", {x}),
                                                     g.call("aten.log.default", {g.call("aten.exp.default", {x})})})});
       },
       decompose_masks, ""},
      {"guard_of_a_number",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.nan_to_num.default", {g.call("aten.tanh.default", {g.input({2, 3})})})});
       },
       decompose_masks, "tanh.default"},
      {"guard_of_a_gate_behind_a_root_declines",
       [](GraphBuilder& g) {
         Node* root = g.call("aten.sqrt.default", {g.input({2, 3})});
         return g.finish({g.call("aten.nan_to_num.default", {g.call("aten.sigmoid.default", {root})})});
       },
       decompose_masks, ""},
      {"guard_of_rows_that_are_masked_whole_declines",
       [](GraphBuilder& g) {
         const double none = -std::numeric_limits<double>::infinity();
         Node* mask = g.tensor("mask", at::full({1, 3}, none, at::kFloat), AttrKind::kConstant);
         Node* shown = g.call("aten.add.Tensor", {g.input({2, 3}), mask});
         return g.finish({g.call("aten.nan_to_num.default", {g.call("aten.softmax.int", {shown, -1})})});
       },
       decompose_masks, ""},
      {"guard_of_a_quotient_declines",
       [](GraphBuilder& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.nan_to_num.default", {g.call("aten.div.Tensor", {x, g.input({2, 3})})})});
       },
       decompose_masks, ""},
  };
}

Build diagonal(Sizes sizes, int64_t offset, int64_t dim1, int64_t dim2) {
  return [=](GraphBuilder& g) {
    return g.finish(
        {g.call("aten.exp.default", {g.call("aten.diagonal.default", {g.input(sizes), offset, dim1, dim2})})});
  };
}

Build on_diagonal(Sizes sizes, int64_t offset, int64_t dim1, int64_t dim2) {
  return [=](GraphBuilder& g) {
    return g.finish({g.call("aten.diag_embed.default", {g.input(sizes), offset, dim1, dim2})});
  };
}

std::vector<PassCase> diagonals() {
  const std::string embedded = "reshape.default pad.default reshape.default slice.Tensor reshape.default";
  const std::string beside = "reshape.default pad.default reshape.default pad.default reshape.default";
  return {
      {"diagonal", diagonal({2, 3, 3}, 0, 1, 2), decompose_diagonals, "reshape.default slice.Tensor exp.default"},
      {"diagonal_above", diagonal({2, 3, 5}, 1, -2, -1), decompose_diagonals,
       "reshape.default slice.Tensor exp.default"},
      {"diagonal_below_of_others", diagonal({2, 3, 4, 5}, -2, 3, 1), decompose_diagonals,
       "permute.default reshape.default slice.Tensor exp.default"},
      {"diagonal_of_samples_declines", diagonal({3, 3}, 0, 0, 1), decompose_diagonals, ""},
      {"on_the_diagonal", on_diagonal({2, 3}, 0, -2, -1), decompose_diagonals, embedded},
      {"above_the_diagonal", on_diagonal({2, 3}, 2, -2, -1), decompose_diagonals, beside},
      {"below_the_diagonal", on_diagonal({2, 4, 3}, -1, 1, 3), decompose_diagonals,
       "reshape.default pad.default reshape.default pad.default slice.Tensor reshape.default permute.default"},
      {"diagonal_that_is_written",
       [](GraphBuilder& g) {
         Node* x = g.call("aten.exp.default", {g.input({2, 3, 3})});
         Node* line = g.call("aten.diagonal.default", {x, 0, 1, 2});
         g.call("aten.copy_.default", {line, g.input({2, 3})});
         return g.finish({g.call("aten.neg.default", {x})});
       },
       replace_writes, "exp.default diagonal_scatter.default neg.default"},
  };
}

Build put_into(const std::string& op, Sizes sizes, Sizes values, std::vector<Arg> rest) {
  return [=](GraphBuilder& g) {
    std::vector<Arg> args = {g.call("aten.exp.default", {g.input(sizes)}), g.input(values)};
    args.insert(args.end(), rest.begin(), rest.end());
    return g.finish({g.call("aten.neg.default", {g.call(op, std::move(args))})});
  };
}

// What run_decompositions() makes of writes.
std::vector<PassCase> functional_writes() {
  return {
      {"slice_scatter", put_into("aten.slice_scatter.default", {2, 5, 3}, {2, 2, 3}, {1, 1, 3}), replace_writes,
       "exp.default slice.Tensor slice.Tensor cat.default neg.default"},
      {"slice_scatter_with_a_step",
       put_into("aten.slice_scatter.default", {2, 6}, {2, 3}, {1, 1, 9223372036854775807, 2}), replace_writes,
       "exp.default unflatten.int slice.Tensor unsqueeze.default cat.default flatten.using_ints neg.default"},
      {"slice_scatter_of_samples_declines", put_into("aten.slice_scatter.default", {5, 3}, {2, 3}, {0, 1, 3}),
       replace_writes, ""},
      {"select_scatter", put_into("aten.select_scatter.default", {2, 5, 3}, {2, 3}, {1, -1}), replace_writes,
       "exp.default unsqueeze.default slice.Tensor cat.default neg.default"},
      {"copy", put_into("aten.copy.default", {2, 3}, {2, 3}, {}), replace_writes, "clone.default neg.default"},
      {"copy_of_a_row", put_into("aten.copy.default", {2, 3}, {3}, {}), replace_writes, "expand.default neg.default"},
      {"cross",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.linalg_cross.default", {g.input({2, 3, 4}), g.input({2, 3, 4}), 1})});
       },
       decompose_powers,
       cat_of(2) + " " + cat_of(2) + " mul.Tensor " + cat_of(2) + " " + cat_of(2) + " mul.Tensor sub.Tensor"},
      {"cross_over_samples_declines",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.cross.default", {g.input({3, 4}), g.input({3, 4})})});
       },
       decompose_powers, ""},
  };
}

class ScatterPassTest : public testing::TestWithParam<PassCase> {};

TEST_P(ScatterPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

const auto kScatterName = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(Copies, ScatterPassTest, testing::ValuesIn(takings()), kScatterName);
INSTANTIATE_TEST_SUITE_P(Scatters, ScatterPassTest, testing::ValuesIn(scatters()), kScatterName);
INSTANTIATE_TEST_SUITE_P(Masks, ScatterPassTest, testing::ValuesIn(constants_put()), kScatterName);
INSTANTIATE_TEST_SUITE_P(Functional, ScatterPassTest, testing::ValuesIn(functional_writes()), kScatterName);
INSTANTIATE_TEST_SUITE_P(Diagonals, ScatterPassTest, testing::ValuesIn(diagonals()), kScatterName);

}  // namespace
}  // namespace octet::targets
