// Activations, made of operators that a target has.
#include <gtest/gtest.h>

#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using Ints = std::vector<int64_t>;

bool gelu_sigmoid(GraphModule& module) { return decompose_gelu(module, GeluForm::kSigmoid); }
bool gelu_tanh(GraphModule& module) { return decompose_gelu(module, GeluForm::kTanh); }

std::shared_ptr<GraphModule> activation(GraphBuilder& g, const std::string& op, std::vector<Arg> rest = {}) {
  Node* x = g.call("aten.mul.Tensor", {g.input({2, 3, 40}), 4.0});
  rest.insert(rest.begin(), Arg(x));
  return g.finish({g.call(op, std::move(rest))});
}

std::vector<test::PassCase> activation_cases() {
  return {
      {"silu", [](auto& g) { return activation(g, "aten.silu.default"); }, decompose_silu,
       "mul.Tensor sigmoid.default mul.Tensor"},
      {"silu_in_place", [](auto& g) { return activation(g, "aten.silu_.default"); }, decompose_silu,
       "mul.Tensor sigmoid.default mul.Tensor"},
      {"silu_in_place_behind_a_view",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 8})});
         return g.finish({g.call("aten.silu_.default", {g.call("aten.view.default", {x, Ints{4, 4}})})});
       },
       decompose_silu, "neg.default view.default sigmoid.default mul.Tensor"},
      {"silu_in_place_read_through_a_view_declines",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 8})});
         Node* view = g.call("aten.view.default", {x, Ints{4, 4}});
         Node* silu = g.call("aten.silu_.default", {x});
         return g.finish({silu, g.call("aten.neg.default", {view})});
       },
       decompose_silu, ""},
      {"silu_in_place_on_an_input_declines",
       [](auto& g) {
         return g.finish({g.call("aten.silu_.default", {g.input({2, 8})})});
       },
       decompose_silu, ""},
      {"glu", [](auto& g) { return activation(g, "aten.glu.default", {-1}); }, decompose_gates,
       "mul.Tensor slice.Tensor slice.Tensor sigmoid.default mul.Tensor"},
      {"hardsigmoid", [](auto& g) { return activation(g, "aten.hardsigmoid.default"); }, decompose_hardsigmoid,
       "mul.Tensor add.Tensor relu6.default mul.Tensor"},
      {"softplus", [](auto& g) { return activation(g, "aten.softplus.default"); }, decompose_softplus,
       "mul.Tensor relu.default add.Tensor sub.Tensor sigmoid.default log.default sub.Tensor"},
      {"softplus_beta",
       [](auto& g) {
         return activation(g, "aten.softplus.default", {2.0, 30.0});
       },
       decompose_softplus,
       "mul.Tensor mul.Tensor relu.default add.Tensor sub.Tensor sigmoid.default log.default sub.Tensor "
       "mul.Tensor"},
      {"softplus_threshold_declines",
       [](auto& g) {
         return activation(g, "aten.softplus.default", {1.0, 2.0});
       },
       decompose_softplus, ""},
      {"mish", [](auto& g) { return activation(g, "aten.mish_.default"); }, decompose_mish,
       "mul.Tensor relu.default add.Tensor sub.Tensor sigmoid.default log.default sub.Tensor tanh.default "
       "mul.Tensor"},
      {"elu", [](auto& g) { return activation(g, "aten.elu.default"); }, decompose_elu,
       "mul.Tensor clamp.default exp.default sub.Tensor relu.default add.Tensor"},
      {"elu_factors",
       [](auto& g) {
         return activation(g, "aten.elu.default", {0.7, 1.3, 0.4});
       },
       decompose_elu,
       "mul.Tensor clamp.default mul.Tensor exp.default sub.Tensor mul.Tensor relu.default mul.Tensor add.Tensor"},
      {"selu", [](auto& g) { return activation(g, "aten.selu_.default"); }, decompose_elu,
       "mul.Tensor clamp.default exp.default sub.Tensor mul.Tensor relu.default mul.Tensor add.Tensor"},
      {"celu", [](auto& g) { return activation(g, "aten.celu.default", {0.5}); }, decompose_elu,
       "mul.Tensor clamp.default mul.Tensor exp.default sub.Tensor mul.Tensor relu.default add.Tensor"},
      {"softshrink", [](auto& g) { return activation(g, "aten.softshrink.default", {0.7}); }, decompose_shrinks,
       "mul.Tensor clamp.default sub.Tensor"},
      {"log_sigmoid", [](auto& g) { return activation(g, "aten.log_sigmoid.default"); }, decompose_shrinks,
       "mul.Tensor clamp.default add.Tensor sub.Tensor sigmoid.default log.default add.Tensor"},
      {"threshold_that_gives_itself",
       [](auto& g) {
         return activation(g, "aten.threshold_.default", {0.3, 0.3});
       },
       decompose_shrinks, "mul.Tensor clamp.default"},
      {"threshold_that_gives_another_declines",
       [](auto& g) {
         return activation(g, "aten.threshold.default", {0.3, 0.0});
       },
       decompose_shrinks, ""},
      {"rrelu", [](auto& g) { return activation(g, "aten.rrelu.default"); }, decompose_shrinks,
       "mul.Tensor leaky_relu.default"},
      {"rrelu_by_chance_declines",
       [](auto& g) {
         return activation(g, "aten.rrelu.default", {0.2, 0.2, true});
       },
       decompose_shrinks, ""},
      {"gelu_of_the_tanh_form",
       [](auto& g) {
         Node* x = g.call("aten.mul.Tensor", {g.input({2, 3, 40}), 4.0});
         return g.finish({g.call("aten.gelu.default", {x}, {{"approximate", "tanh"}})});
       },
       gelu_tanh, "mul.Tensor clamp.default mul.Tensor mul.Tensor add.Tensor mul.Tensor sigmoid.default mul.Tensor"},
  };
}

// Approximations: how far beside.
TEST(GeluForms, StayWithinTheirError) {
  for (const auto& [pass, error] : {std::pair(&gelu_sigmoid, 0.021), std::pair(&gelu_tanh, 0.0005)}) {
    GraphBuilder g;
    const auto module = g.finish({g.call("aten.gelu.default", {g.input({4001})})});
    const auto before = module->copy();
    EXPECT_TRUE(pass(*module));
    const std::vector<at::Tensor> inputs = {at::linspace(-8.0, 8.0, 4001)};
    EXPECT_LT((module->run(inputs).at(0) - before->run(inputs).at(0)).abs().max().item<double>(), error);
  }
}

class ActivationPassTest : public testing::TestWithParam<test::PassCase> {};

TEST_P(ActivationPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Passes, ActivationPassTest, testing::ValuesIn(activation_cases()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace octet::targets
