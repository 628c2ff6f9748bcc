// Numbers that become constants, and arithmetic written out for targets that take tensors alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

std::shared_ptr<GraphModule> on_input(GraphBuilder& g, const std::string& op, std::vector<Arg> rest = {}) {
  rest.insert(rest.begin(), Arg(g.input({2, 3, 4})));
  return g.finish({g.call(op, std::move(rest))});
}

// An operator on what another computed, so that it may be replaced where it works in place.
std::shared_ptr<GraphModule> in_place(GraphBuilder& g, const std::string& op, std::vector<Arg> rest) {
  rest.insert(rest.begin(), Arg(g.call("aten.neg.default", {g.input({2, 3, 4})})));
  return g.finish({g.call(op, std::move(rest))});
}

std::shared_ptr<GraphModule> unshuffled(GraphBuilder& g, const Ints& order) {
  Node* x = g.input({2, 3, 8, 6});
  Node* parts = g.call("aten.view.default", {x, Ints{2, 3, 4, 2, 3, 2}});
  return g.finish(
      {g.call("aten.reshape.default", {g.call("aten.permute.default", {parts, order}), Ints{2, 12, 4, 3}})});
}

// height * (x * 0.5) * (erf(x / width) + 1)
std::shared_ptr<GraphModule> written_gelu(GraphBuilder& g, double width, double height) {
  Node* x = g.input({2, 3, 4});
  Node* half = g.call("aten.mul.Tensor", {x, 0.5 * height});
  Node* error = g.call("aten.erf.default", {g.call("aten.div.Tensor", {x, width})});
  return g.finish({g.call("aten.mul.Tensor", {half, g.call("aten.add.Tensor", {error, 1.0})})});
}

std::vector<test::PassCase> lifting_cases() {
  return {
      {"add", [](auto& g) { return on_input(g, "aten.add.Tensor", {2.5}); }, lift_scalars, "add.Tensor"},
      {"div_scalar", [](auto& g) { return on_input(g, "aten.div.Scalar", {2.5}); }, lift_scalars, "div.Tensor"},
      {"rsub_scalar", [](auto& g) { return on_input(g, "aten.rsub.Scalar", {1}); }, lift_scalars, "rsub.Tensor"},
      {"square", [](auto& g) { return on_input(g, "aten.pow.Tensor_Scalar", {2}); }, lift_scalars, "pow.Tensor_Tensor"},
      {"leaky_relu", [](auto& g) { return on_input(g, "aten.leaky_relu.default"); }, lift_scalars, "prelu.default"},
      {"leaky_relu_in_place", [](auto& g) { return in_place(g, "aten.leaky_relu_.default", {0.2}); }, lift_scalars,
       "neg.default prelu.default"},
      {"leaky_relu_on_an_input_declines", [](auto& g) { return on_input(g, "aten.leaky_relu_.default", {0.2}); },
       lift_scalars, ""},
      {"add_in_place", [](auto& g) { return in_place(g, "aten.add_.Tensor", {0.5}); }, lift_scalars,
       "neg.default add_.Tensor"},
      {"masked_fill",
       [](auto& g) {
         Node* x = g.input({2, 3});
         Node* mask = g.call("aten.gt.Scalar", {x, 0.25});
         return g.finish({g.call("aten.masked_fill.Scalar", {x, mask, -1.5})});
       },
       lift_scalars, "gt.Tensor masked_fill.Tensor"},
      {"where",
       [](auto& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.where.ScalarOther", {g.call("aten.lt.Scalar", {x, 0}), x, 3.0})});
       },
       lift_scalars, "lt.Tensor where.self"},
      {"clamp_declines",
       [](auto& g) {
         return on_input(g, "aten.clamp.default", {0.0, 1.0});
       },
       lift_scalars, ""},
      {"alpha",
       [](auto& g) {
         return g.finish({g.call("aten.sub.Tensor", {g.input({2, 3}), g.input({3})}, {{"alpha", Arg(0.5)}})});
       },
       decompose_alpha, "mul.Tensor sub.Tensor"},
      {"alpha_of_a_number",
       [](auto& g) {
         return g.finish({g.call("aten.add.Tensor", {g.input({2, 3}), 4.0}, {{"alpha", Arg(0.5)}})});
       },
       decompose_alpha, "add.Tensor"},
      {"alpha_of_one_declines", [](auto& g) { return on_input(g, "aten.add.Tensor", {2.5}); }, decompose_alpha, ""},
      {"addmm",
       [](auto& g) {
         return g.finish(
             {g.call("aten.addmm.default", {g.parameter("bias", {5}), g.input({2, 3}), g.parameter("w", {3, 5})},
                     {{"beta", Arg(0.5)}, {"alpha", Arg(2.0)}})});
       },
       decompose_addmm, "mm.default mul.Tensor mul.Tensor add.Tensor"},
      {"reciprocal", [](auto& g) { return on_input(g, "aten.reciprocal.default"); }, decompose_reciprocal,
       "div.Tensor"},
      {"pixel_unshuffle",
       [](auto& g) {
         return unshuffled(g, {0, 1, 3, 5, 2, 4});
       },
       recompose_pixel_unshuffle, "pixel_unshuffle.default"},
      {"another_order_declines",
       [](auto& g) {
         return unshuffled(g, {0, 1, 5, 3, 2, 4});
       },
       recompose_pixel_unshuffle, ""},
      {"gelu_written_out", [](auto& g) { return written_gelu(g, 1.4142135623730951, 1.0); }, recompose_gelu,
       "gelu.default"},
      {"gelu_of_a_product",
       [](auto& g) {
         Node* x = g.call("aten.mul.Tensor", {g.input({2, 3, 4}), 3.0});
         Node* error = g.call("aten.erf.default", {g.call("aten.div.Tensor", {x, 1.4142135623730951})});
         Node* gate = g.call("aten.add.Tensor", {error, 1});
         return g.finish({g.call("aten.mul.Tensor", {g.call("aten.mul.Tensor", {x, 0.5}), gate})});
       },
       recompose_gelu, "mul.Tensor gelu.default"},
      {"gelu_of_another_width_declines", [](auto& g) { return written_gelu(g, 1.4, 1.0); }, recompose_gelu, ""},
      {"gelu_of_another_height_declines", [](auto& g) { return written_gelu(g, 1.4142135623730951, 2.0); },
       recompose_gelu, ""},
      {"gelu_in_another_order",
       [](auto& g) {
         Node* x = g.input({2, 3, 4});
         Node* gate = g.call("aten.add.Tensor",
                             {g.call("aten.erf.default", {g.call("aten.mul.Tensor", {x, 0.7071067811865475})}), 1});
         return g.finish({g.call("aten.div.Tensor", {g.call("aten.mul.Tensor", {gate, x}), 2.0})});
       },
       recompose_gelu, "gelu.default"},
      {"gelu_whose_gate_others_read_declines",
       [](auto& g) {
         Node* x = g.input({2, 3, 4});
         Node* gate = g.call("aten.add.Tensor",
                             {g.call("aten.erf.default", {g.call("aten.mul.Tensor", {x, 0.7071067811865475})}), 1});
         return g.finish({g.call("aten.mul.Tensor", {g.call("aten.mul.Tensor", {x, 0.5}), gate}), gate});
       },
       recompose_gelu, ""},
      {"bias_before_batch_norm",
       [](auto& g) {
         Node* conv = g.call("aten.conv2d.default", {g.input({1, 3, 8, 8}), g.parameter("w", {4, 3, 3, 3})});
         return g.finish({g.batch_norm("norm", conv, 4)});
       },
       add_biases_before_batch_norms, "conv2d.default batch_norm.default"},
      {"bias_without_batch_norm_declines",
       [](auto& g) {
         return g.finish({g.call("aten.conv2d.default", {g.input({1, 3, 8, 8}), g.parameter("w", {4, 3, 3, 3})})});
       },
       add_biases_before_batch_norms, ""},
  };
}

// A function of values between 0 and 1.
test::PassCase function_case(const std::string& op, const std::string& ops, std::vector<Arg> rest = {},
                             NamedArgs named = {}) {
  const auto build = [=](GraphBuilder& g) {
    Node* x = g.call("aten.sigmoid.default", {g.input({2, 4, 6})});
    std::vector<Arg> args = {x};
    args.insert(args.end(), rest.begin(), rest.end());
    return g.finish({g.call("aten." + op, std::move(args), named)});
  };
  std::string name = op;
  std::replace(name.begin(), name.end(), '.', '_');
  if (!rest.empty()) name += octet::str("_", rest.size());
  if (!named.empty()) name += octet::str("_", named.front().first);
  return {name, build, decompose_functions, ops.empty() ? "" : "sigmoid.default " + ops};
}

std::vector<test::PassCase> function_cases() {
  const std::string exponentials = "exp.default neg.default exp.default ";
  const std::string truncation = "sign.default abs.default floor.default mul.Tensor";
  const std::string variance = "mean.dim sub.Tensor mul.Tensor mean.dim";
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  return {
      function_case("acos.default", "asin.default sub.Tensor"),
      function_case("tan.default", "sin.default cos.default div.Tensor"),
      function_case("expm1.default", "exp.default sub.Tensor"),
      function_case("special_expm1.default", "exp.default sub.Tensor"),
      function_case("log2.default", "log.default div.Tensor"),
      function_case("log10.default", "log.default div.Tensor"),
      function_case("log1p.default", "add.Tensor log.default"),
      function_case("sinh.default", exponentials + "sub.Tensor mul.Tensor"),
      function_case("cosh.default", exponentials + "add.Tensor mul.Tensor"),
      function_case("asinh.default", "mul.Tensor add.Tensor sqrt.default add.Tensor log.default"),
      function_case("atanh.default", "add.Tensor sub.Tensor div.Tensor log.default mul.Tensor"),
      function_case("trunc.default", truncation),
      function_case("threshold.default", "le.Tensor where.self", {0.5, -1.0}),
      function_case("threshold_.default", "le.Tensor where.self", {0.5, -1.0}),
      function_case("div.Tensor_mode", "div.Tensor floor.default", {0.3}, {{"rounding_mode", Arg("floor")}}),
      function_case("remainder.Scalar", "div.Tensor floor.default mul.Tensor sub.Tensor", {0.3}),
      function_case("glu.default", "slice.Tensor slice.Tensor sigmoid.default mul.Tensor", {1}),
      function_case("var.correction", variance + " mul.Tensor", {Ints{1, 2}}),
      function_case("var.dim", variance, {Ints{-1}, false, true}),
      function_case("linalg_vector_norm.default", "abs.default pow.Tensor_Scalar sum.dim_IntList pow.Tensor_Scalar",
                    {3.0, Ints{1}}),
      function_case("linalg_vector_norm.default", "abs.default amax.default", {kInfinite, Ints{1}, true}),
      function_case("var.correction", "", {Ints{0}, Arg(), true}),
      {"deviation",
       [](auto& g) {
         return g.finish({g.call("aten.std.correction", {g.input({2, 3, 4}), Ints{-1}, Arg(), true})});
       },
       decompose_variances, variance + " mul.Tensor sqrt.default"},
      {"biased_deviation",
       [](auto& g) {
         return g.finish({g.call("aten.std.dim", {g.input({2, 3, 4}), Ints{1, 2}, false})});
       },
       decompose_variances, variance + " sqrt.default"},
      {"deviation_of_samples_declines",
       [](auto& g) {
         return g.finish({g.call("aten.std.dim", {g.input({2, 3}), Ints{0}})});
       },
       decompose_variances, ""},
      {"acosh",
       [](auto& g) {
         Node* x = g.call("aten.exp.default", {g.call("aten.abs.default", {g.input({2, 3})})});
         return g.finish({g.call("aten.acosh.default", {x})});
       },
       decompose_functions, "abs.default exp.default mul.Tensor sub.Tensor sqrt.default add.Tensor log.default"},
      {"div_and_trunc",
       [](auto& g) {
         return g.finish(
             {g.call("aten.div.Tensor_mode", {g.input({2, 3}), g.input({3})}, {{"rounding_mode", Arg("trunc")}})});
       },
       decompose_functions, "div.Tensor " + truncation},
      {"atan2",
       [](auto& g) {
         return g.finish({g.call("aten.atan2.default", {g.input({4, 3}), g.input({3})})});
       },
       decompose_functions,
       "eq.Tensor where.self div.Tensor atan.default lt.Tensor ge.Tensor where.self where.self add.Tensor gt.Tensor "
       "where.self eq.Tensor where.self where.self"},
      {"max_pool3d",
       [](auto& g) {
         return g.finish({g.call("aten.max_pool3d.default",
                                 {g.input({2, 3, 6, 8, 7}), Ints{3, 2, 3}, Ints{2, 2, 1}, Ints{1, 0, 1}})});
       },
       decompose_functions,
       "permute.default reshape.default max_pool2d.default permute.default max_pool2d.default reshape.default"},
      {"reflection",
       [](auto& g) {
         return g.finish({g.call("aten.pad.default", {g.input({1, 2, 5, 6}), Ints{1, 2, 0, 3}, "reflect"})});
       },
       decompose_functions, "reflection_pad2d.default"},
      {"zeros_around_decline",
       [](auto& g) {
         return g.finish({g.call("aten.pad.default", {g.input({1, 2, 5, 6}), Ints{1, 2, 0, 3}})});
       },
       decompose_functions, ""},
      {"arange",
       [](auto& g) {
         Node* line = g.call("aten.arange.default", {4.0});
         return g.finish({g.call("aten.mul.Tensor", {g.input({2, 3, 4}), line})});
       },
       decompose_functions, "arange.start_step mul.Tensor"},
      {"arange_of_whole_numbers_declines",
       [](auto& g) {
         Node* line = g.call("aten.arange.default", {int64_t{4}});
         return g.finish({g.call("aten.mul.Tensor", {g.input({2, 3, 4}), line})});
       },
       decompose_functions, ""},
      {"remainder_of_integers_declines",
       [](auto& g) {
         Node* whole = g.call("aten.to.dtype", {g.input({2, 3}), at::kLong});
         return g.finish({g.call("aten.remainder.Scalar", {whole, 2})});
       },
       decompose_functions, ""},
  };
}

class LiftingPassTest : public testing::TestWithParam<test::PassCase> {};

TEST_P(LiftingPassTest, KeepsTheResults) { test::expect_pass(GetParam()); }

TEST(AddedBiases, AreNotTrained) {
  GraphBuilder g;
  Node* conv = g.call("aten.conv2d.default", {g.input({1, 3, 8, 8}), g.parameter("w", {4, 3, 3, 3})});
  const auto model = g.finish({g.batch_norm("norm", conv, 4)});
  const size_t before = model->parameters().size();
  ASSERT_TRUE(add_biases_before_batch_norms(*model));
  EXPECT_EQ(model->parameters().size(), before);
}

INSTANTIATE_TEST_SUITE_P(All, LiftingPassTest, testing::ValuesIn(lifting_cases()),
                         [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(Functions, LiftingPassTest, testing::ValuesIn(function_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace octet::targets
