// Values that are filled with a number, constants of whole numbers, and fixed grids that are joined with others.
#include <gtest/gtest.h>

#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::PassCase;
using Sizes = std::vector<int64_t>;
using Nodes = std::vector<Arg>;

std::vector<PassCase> fills() {
  const auto joined = [](const std::string& op, Nodes rest) {
    return [=](GraphBuilder& g) {
      Node* x = g.call("aten.neg.default", {g.input({2, 3, 4})});
      Nodes args = {x};
      args.insert(args.end(), rest.begin(), rest.end());
      return g.finish({g.call("aten.cat.default", {Arg(Nodes{x, g.call(op, std::move(args))}), int64_t{1}})});
    };
  };
  const auto summed = [](double fill) {
    return [=](GraphBuilder& g) {
      Node* x = g.call("aten.neg.default", {g.input({2, 3})});
      return g.finish({g.call("aten.maximum.default", {x, g.call("aten.full_like.default", {x, fill})})});
    };
  };
  return {
      {"zeros", joined("aten.zeros_like.default", {}), decompose_fills, "neg.default mul.Tensor cat.default"},
      {"ones", joined("aten.ones_like.default", {}), decompose_fills, "neg.default mul.Tensor add.Tensor cat.default"},
      {"numbers", joined("aten.full_like.default", {-0.5}), decompose_fills,
       "neg.default mul.Tensor add.Tensor cat.default"},
      {"sentinel_that_needs_its_size_declines", joined("aten.full_like.default", {-1e9}), decompose_fills, ""},
      {"number_element_by_element", summed(0.25), decompose_fills, "neg.default maximum.default"},
      {"sentinel_element_by_element", summed(-1e9), decompose_fills, "neg.default maximum.default"},
      {"number_in_the_place_of_hidden_values",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* hidden = g.call("aten.gt.Scalar", {x, 0.0});
         Node* filled = g.call("aten.full_like.default", {x, -9e15});
         return g.finish({g.call("aten.where.self", {hidden, x, filled})});
       },
       decompose_fills, "neg.default gt.Scalar where.self"},
      {"size_of_a_sum_that_stretches",
       [](auto& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.add.Tensor", {g.input({2, 1}), g.call("aten.zeros_like.default", {x})})});
       },
       decompose_fills, "mul.Tensor add.Tensor"},
      {"infinite_input_declines",
       [](auto& g) {
         Node* x = g.call("aten.reciprocal.default", {g.input({2, 3})});
         return g.finish({g.call("aten.cat.default", {Arg(Nodes{x, g.call("aten.zeros_like.default", {x})})})});
       },
       decompose_fills, ""},
      {"written_declines",
       [](auto& g) {
         Node* zeros = g.call("aten.zeros_like.default", {g.input({2, 3})});
         return g.finish({g.call("aten.add_.Tensor", {zeros, g.input({2, 3})})});
       },
       decompose_fills, ""},
      {"whole_numbers_are_left_alone",
       [](auto& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.zeros_like.default", {x}, {{"dtype", at::kLong}})});
       },
       decompose_fills, ""},
  };
}

std::vector<PassCase> whole_constants() {
  const auto with_constant = [](const std::string& op, const at::Tensor& value) {
    return [=](GraphBuilder& g) {
      Node* constant = g.tensor("levels", value, AttrKind::kBuffer);
      return g.finish({g.call(op, {g.call("aten.neg.default", {g.input({2, 3})}), constant})});
    };
  };
  return {
      {"sum", with_constant("aten.add.Tensor", at::tensor({1, -2, 3}, at::kLong)), convert_whole_constants,
       "neg.default add.Tensor"},
      {"number", with_constant("aten.mul.Tensor", at::scalar_tensor(7, at::kInt)), convert_whole_constants,
       "neg.default mul.Tensor"},
      {"booleans", with_constant("aten.mul.Tensor", at::tensor({1, 0, 1}).to(at::kBool)), convert_whole_constants,
       "neg.default mul.Tensor"},
      {"floats_stay", with_constant("aten.add.Tensor", at::tensor({1.0F, 2.0F, 3.0F})), convert_whole_constants, ""},
      {"written_declines",
       [](auto& g) {
         Node* count = g.tensor("count", at::scalar_tensor(7, at::kLong), AttrKind::kBuffer);
         Node* sum = g.call("aten.mul.Tensor", {g.input({2, 3}), count});
         return g.finish({sum, g.call("aten.add_.Tensor", {count, int64_t{1}})});
       },
       convert_whole_constants, ""},
  };
}

std::vector<PassCase> joined_shares() {
  const auto joined = [](const std::string& first, const std::string& second, const std::string& join) {
    return [=](GraphBuilder& g) {
      const auto value = [&](const std::string& op) {
        return op.empty() ? g.input({2, 3, 4}) : g.call("aten." + op + ".default", {g.input({2, 3, 4})});
      };
      Node* left = value(first);
      Node* right = value(second);
      if (join == "cat") return g.finish({g.call("aten.cat.default", {Arg(Nodes{left, right}), int64_t{1}})});
      return g.finish({g.call("aten." + join + ".default", {left, right})});
    };
  };
  return {
      {"share_beside_a_value", joined("neg", "sigmoid", "cat"), leave_fixed_grids,
       "neg.default sigmoid.default relu.default cat.default"},
      {"share_beside_an_input", joined("sigmoid", "", "maximum"), leave_fixed_grids,
       "sigmoid.default relu.default maximum.default"},
      {"tangent_beside_a_value", joined("tanh", "neg", "cat"), leave_fixed_grids,
       "tanh.default neg.default hardtanh.default cat.default"},
      {"share_beside_a_tangent", joined("sigmoid", "tanh", "cat"), leave_fixed_grids,
       "sigmoid.default tanh.default relu.default hardtanh.default cat.default"},
      {"shares_decline", joined("sigmoid", "sigmoid", "cat"), leave_fixed_grids, ""},
      {"values_decline", joined("neg", "neg", "cat"), leave_fixed_grids, ""},
      {"sum_of_a_share",
       [](auto& g) {
         Node* share = g.call("aten.softmax.int", {g.input({2, 3, 4}), int64_t{-1}});
         return g.finish({g.call("aten.sum.dim_IntList", {share, Sizes{1}})});
       },
       leave_fixed_grids, "softmax.int relu.default sum.dim_IntList"},
      {"sum_of_a_value_declines",
       [](auto& g) {
         return g.finish({g.call("aten.sum.dim_IntList", {g.input({2, 3, 4}), Sizes{1}})});
       },
       leave_fixed_grids, ""},
      {"behind_views_and_a_cat_of_shares",
       [](auto& g) {
         Node* first =
             g.call("aten.reshape.default", {g.call("aten.sigmoid.default", {g.input({2, 12})}), Sizes{2, 3, 4}});
         Node* second = g.call("aten.softmax.int", {g.input({2, 3, 4}), int64_t{-1}});
         Node* shares = g.call("aten.cat.default", {Arg(Nodes{first, second}), int64_t{1}});
         return g.finish({g.call("aten.cat.default", {Arg(Nodes{shares, g.input({2, 1, 4})}), int64_t{1}})});
       },
       leave_fixed_grids, "sigmoid.default reshape.default softmax.int cat.default relu.default cat.default"},
  };
}

std::vector<PassCase> sums() {
  const auto pass = [](GraphModule& module) {
    return decompose_sums(module, [] { return std::unordered_set<const Node*>(); });
  };
  const auto all_stay = [](GraphModule& module) {
    return decompose_sums(module, [&] {
      const std::vector<Node*> nodes = module.graph().nodes();
      return std::unordered_set<const Node*>(nodes.begin(), nodes.end());
    });
  };
  const auto sum = [](const Sizes& sizes, const Sizes& dims, bool keep) {
    return [=](GraphBuilder& g) { return g.finish({g.call("aten.sum.dim_IntList", {g.input(sizes), dims, keep})}); };
  };
  return {
      {"few", sum({2, 3, 5}, {1}, true), pass, "slice.Tensor slice.Tensor add.Tensor slice.Tensor add.Tensor"},
      {"few_narrowed", sum({2, 2, 3, 5}, {1}, false), pass, "slice.Tensor slice.Tensor add.Tensor reshape.default"},
      {"channels", sum({2, 7, 3, 5}, {1}, true), pass, "conv2d.default"},
      {"rows", sum({2, 3, 9}, {-1}, false), pass, "linear.default reshape.default"},
      {"positions", sum({2, 3, 4, 5}, {3, 2}, true), pass, "reshape.default linear.default reshape.default"},
      {"middle", sum({2, 9, 3}, {1}, true), pass, "permute.default linear.default reshape.default"},
      {"samples_decline", sum({6, 3}, {0}, true), pass, ""},
      {"one_term_declines", sum({6, 1, 3}, {1}, false), pass, ""},
      {"kept", sum({2, 9, 3}, {1}, true), all_stay, ""},
  };
}

std::vector<PassCase> other_resizes() {
  const auto none = [](GraphModule& module) {
    return decompose_other_resizes(module, [](const Node&) { return false; });
  };
  const auto all = [](GraphModule& module) {
    return decompose_other_resizes(module, [](const Node&) { return true; });
  };
  const auto nearest = [](const std::string& op, const Sizes& from, const Sizes& to) {
    return [=](GraphBuilder& g) { return g.finish({g.call("aten." + op + ".vec", {g.input(from), to, Arg()})}); };
  };
  const auto bilinear = [](bool aligned) {
    return [=](GraphBuilder& g) {
      return g.finish({g.call("aten.upsample_bilinear2d.vec", {g.input({2, 3, 3, 5}), Sizes{4, 10}, aligned, Arg()})});
    };
  };
  const std::string two_linears = "linear.default permute.default linear.default permute.default";
  return {
      {"bilinear", bilinear(false), none, two_linears},
      {"bilinear_aligned", bilinear(true), none, two_linears},
      {"bilinear_that_is_taken", bilinear(false), all, ""},
      {"nearest_that_is_taken", nearest("upsample_nearest2d", {2, 3, 2, 2}, {6, 6}), all, ""},
      {"nearest_by_three", nearest("upsample_nearest2d", {2, 3, 2, 2}, {6, 2}), none,
       "slice.Tensor slice.Tensor slice.Tensor slice.Tensor cat.default"},
      {"nearest_of_one_pixel", nearest("upsample_nearest2d", {2, 3, 1, 1}, {3, 3}), none, "cat.default cat.default"},
      {"nearest_by_three_of_many", nearest("upsample_nearest2d", {2, 3, 1, 20}, {1, 60}), none,
       "reshape.default cat.default reshape.default"},
      {"nearest_exact_smaller", nearest("_upsample_nearest_exact2d", {2, 3, 1, 5}, {1, 3}), none,
       "slice.Tensor slice.Tensor slice.Tensor cat.default"},
      {"nearest_of_many_that_differ_declines", nearest("upsample_nearest2d", {2, 3, 1, 40}, {1, 75}), none, ""},
  };
}

class FillPassTest : public testing::TestWithParam<PassCase> {};

TEST_P(FillPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

const auto kFillCase = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(Fills, FillPassTest, testing::ValuesIn(fills()), kFillCase);
INSTANTIATE_TEST_SUITE_P(WholeConstants, FillPassTest, testing::ValuesIn(whole_constants()), kFillCase);
INSTANTIATE_TEST_SUITE_P(JoinedShares, FillPassTest, testing::ValuesIn(joined_shares()), kFillCase);
INSTANTIATE_TEST_SUITE_P(Sums, FillPassTest, testing::ValuesIn(sums()), kFillCase);
INSTANTIATE_TEST_SUITE_P(OtherResizes, FillPassTest, testing::ValuesIn(other_resizes()), kFillCase);

}  // namespace
}  // namespace octet::targets
