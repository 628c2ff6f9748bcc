// Numbers that become constants, and arithmetic written out for targets that take tensors alone.
#include <gtest/gtest.h>

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

class LiftingPassTest : public testing::TestWithParam<test::PassCase> {};

TEST_P(LiftingPassTest, KeepsTheResults) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(All, LiftingPassTest, testing::ValuesIn(lifting_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace octet::targets
