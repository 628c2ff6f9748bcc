// What an operator in float divides by stays in float: on integers it could become 0.

#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;
using Sizes = std::vector<int64_t>;

std::shared_ptr<GraphModule> divided(const std::shared_ptr<GraphModule>& model, const std::vector<at::Tensor>& inputs) {
  NeutronOptions options;
  options.mul_range = MulRange::kObserved;
  NeutronQuantizer quantizer(options);
  return calibrate_and_quantize(model->copy(), {inputs}, quantizer);
}

// Of the one operator of this name.
std::optional<QuantRecord> output_grid(const GraphModule& module, const std::string& op) {
  std::optional<QuantRow> found;
  for (const QuantRow& row : quantization_rows(module)) {
    if (row.op != op) continue;
    EXPECT_FALSE(found) << "several " << op;
    found = row;
  }
  EXPECT_TRUE(found) << "no " << op;
  return found ? found->output : std::nullopt;
}

void expect_finite_and_near(const std::shared_ptr<GraphModule>& model, const std::vector<at::Tensor>& inputs,
                            double least_db) {
  const at::Tensor wanted = model->copy()->run(inputs)[0];
  const auto quantized = divided(model, inputs);
  const at::Tensor got = quantized->run(inputs)[0];
  EXPECT_TRUE(got.isfinite().all().item<bool>());
  EXPECT_GT(compute_error(wanted, got), least_db);
  const at::Tensor integers = integer::Executor(lower(*quantized, {})).run_dequantized(inputs)[0];
  EXPECT_TRUE(integers.isfinite().all().item<bool>());
  EXPECT_GT(compute_error(wanted, integers), least_db);
}

// Sums of which many are below a step of the largest, guarded as linear attention guards them.
TEST(Divisors, AGuardedSumIsDividedByInFloat) {
  at::manual_seed(0);
  GraphBuilder g;
  const at::Tensor rows = at::tensor({1.0F, 1.0F, 0.0625F, 0.0625F}).view({1, 4, 1});
  const at::Tensor columns = at::tensor({1.0F, 1.0F, 1.0F, 1.0F, 0.0625F}).view({1, 1, 5});
  Node* x = g.call("aten.mul.Tensor", {g.call("aten.relu.default", {g.input({1, 4, 32})}), g.tensor("rows", rows)});
  Node* y = g.call("aten.mul.Tensor", {g.call("aten.abs.default", {g.input({1, 32, 5})}), g.tensor("cols", columns)});
  Node* product = g.call("aten.bmm.default", {x, y});
  Node* last = g.call("aten.slice.Tensor", {product, int64_t{2}, int64_t{4}, int64_t{5}});
  Node* guarded = g.call("aten.add.Tensor", {last, 1e-5});
  Node* rest = g.call("aten.slice.Tensor", {product, int64_t{2}, int64_t{0}, int64_t{4}});
  const auto model = g.finish({g.call("aten.div.Tensor", {rest, guarded})});
  const auto quantized = divided(model, g.inputs());
  EXPECT_FALSE(output_grid(*quantized, "aten.add.Tensor"));
  EXPECT_FALSE(output_grid(*quantized, "aten.bmm.default"));
  expect_finite_and_near(model, g.inputs(), 15.0);
}

// E[x^2] - E[x]^2 of rows that vary little around numbers far from 0.
TEST(Divisors, ADifferenceOfSquaresStaysInFloat) {
  at::manual_seed(4);
  GraphBuilder g;
  const at::Tensor weights = at::softmax(at::randn({1, 5, 24}), 2);
  Node* middle = g.call("aten.add.Tensor", {g.call("aten.mul.Tensor", {g.input({1, 5, 24}), 0.3}), 1.5});
  Node* x = g.call("aten.abs.default", {middle});
  Node* shares = g.tensor("shares", weights);
  const auto mean = [&](Node* value) {
    return g.call("aten.sum.dim_IntList", {g.call("aten.mul.Tensor", {value, shares}), Sizes{2}});
  };
  Node* of_squares = mean(g.call("aten.pow.Tensor_Scalar", {x, 2}));
  Node* variance = g.call("aten.sub.Tensor", {of_squares, g.call("aten.pow.Tensor_Scalar", {mean(x), 2})});
  const auto model = g.finish({g.call("aten.sqrt.default", {g.call("aten.clamp.default", {variance, 1e-4})})});
  expect_finite_and_near(model, g.inputs(), 20.0);
}

// q @ (k' @ [v, 1]): a sum of keys that is far below the largest may not become 0 in front of the divisor.
TEST(Divisors, SumsInAProductThatIsDividedByStayInFloat) {
  at::manual_seed(5);
  GraphBuilder g;
  const at::Tensor keys = at::tensor({1.0F, 1.0F, 1e-4F, 1e-4F}).view({1, 4, 1});
  Node* query = g.call("aten.relu.default", {g.input({2, 6, 4})});
  Node* key = g.call("aten.mul.Tensor", {g.call("aten.relu.default", {g.input({2, 4, 8})}), g.tensor("keys", keys)});
  Node* value = g.call("aten.constant_pad_nd.default", {g.input({2, 8, 3}), Sizes{0, 1}, 1.0});
  Node* sums = g.call("aten.view.default", {g.call("aten.bmm.default", {key, value}), Sizes{2, 4, 4}});
  Node* product = g.call("aten.matmul.default", {query, sums});
  Node* divisor = g.call("aten.slice.Tensor", {product, int64_t{2}, int64_t{3}, int64_t{4}});
  Node* rest = g.call("aten.slice.Tensor", {product, int64_t{2}, int64_t{0}, int64_t{3}});
  const auto model = g.finish({g.call("aten.div.Tensor", {rest, g.call("aten.add.Tensor", {divisor, 1e-15})})});
  const auto quantized = divided(model, g.inputs());
  for (const QuantRow& row : quantization_rows(*quantized)) {
    const bool is_product = row.op == "aten.bmm.default";
    if (is_product || row.op == "aten.relu.default") {
      EXPECT_EQ(row.output.has_value(), !is_product) << row.name;
    }
  }
}

// What stands beside a number that is no guard keeps its grid.
TEST(Divisors, ASumWithOneIsDividedByInFloatAlone) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* x = g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4);
  Node* positive = g.call("aten.relu.default", {x});
  Node* sum = g.call("aten.add.Tensor", {positive, 1.0});
  const auto model = g.finish({g.call("aten.div.Tensor", {x, sum})});
  const auto quantized = divided(model, g.inputs());
  EXPECT_FALSE(output_grid(*quantized, "aten.add.Tensor"));
  EXPECT_TRUE(output_grid(*quantized, "aten.relu.default"));
  expect_finite_and_near(model, g.inputs(), 25.0);
}

// The magnitude of a spectrum: squares of int8 levels span what no int8 grid does.
TEST(Divisors, SquaresUnderARootStayInFloat) {
  at::manual_seed(4);
  GraphBuilder g;
  const at::Tensor sizes = at::logspace(-1.5, 0, 4).view({1, 4, 1, 1});
  const auto part = [&](const std::string& name, Node* x) {
    return g.call("aten.mul.Tensor", {g.conv2d(name, x, 3, 4), g.tensor(name + "_sizes", sizes)});
  };
  Node* x = g.input({1, 3, 6, 6});
  Node* real = part("a", x);
  Node* imaginary = part("b", x);
  Node* power = g.call("aten.add.Tensor",
                       {g.call("aten.mul.Tensor", {real, real}), g.call("aten.mul.Tensor", {imaginary, imaginary})});
  const auto model = g.finish({g.call("aten.sqrt.default", {power})});
  EXPECT_FALSE(output_grid(*divided(model, g.inputs()), "aten.add.Tensor"));
  expect_finite_and_near(model, g.inputs(), 28.0);
}

TEST(Divisors, OfReciprocalsPowersAndViewsToo) {
  for (const std::string op : {"aten.reciprocal.default", "aten.pow.Tensor_Scalar", "aten.log2.default"}) {
    at::manual_seed(1);
    GraphBuilder g;
    Node* positive = g.call("aten.exp.default", {g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4)});
    Node* scaled = g.call("aten.mul.Tensor", {positive, g.tensor("sizes", at::logspace(-5, 0, 4).view({1, 4, 1, 1}))});
    Node* moved = g.call("aten.reshape.default", {scaled, Sizes{1, 4, 36}});
    std::vector<Arg> args = {moved};
    if (op == "aten.pow.Tensor_Scalar") args.emplace_back(-1.5);
    const auto model = g.finish({g.call(op, args)});
    const auto quantized = divided(model, g.inputs());
    EXPECT_FALSE(output_grid(*quantized, "aten.reshape.default")) << op;
    EXPECT_FALSE(output_grid(*quantized, "aten.mul.Tensor")) << op;
    const at::Tensor wanted = model->copy()->run(g.inputs())[0];
    const at::Tensor got = quantized->run(g.inputs())[0];
    EXPECT_TRUE(got.isfinite().all().item<bool>()) << op;
    EXPECT_GT(compute_error(wanted, got), 15.0) << op;
  }
}

TEST(Divisors, AnActivationOfAConvolutionAndAnInputAreNoExceptions) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* gate =
      g.call("aten.sigmoid.default", {g.call("aten.mul.Tensor", {g.conv2d("c", g.input({1, 3, 6, 6}), 3, 4), 4.0})});
  Node* ratio = g.call("aten.div.Tensor", {g.input({1, 4, 6, 6}), gate});
  const auto model = g.finish({ratio});
  EXPECT_FALSE(output_grid(*divided(model, g.inputs()), "aten.sigmoid.default"));
  expect_finite_and_near(model, g.inputs(), 15.0);

  GraphBuilder h;
  Node* x = h.call("aten.neg.default", {h.input({1, 8})});
  Node* by = h.input({1, 8});
  const auto quotient = h.finish({h.call("aten.div.Tensor", {x, by})});
  expect_finite_and_near(quotient, h.inputs(), 15.0);
}

// A position times its frequency: at a step of four, sin would know nothing of its angle.
TEST(Angles, OfManyTurnsStayInFloat) {
  GraphBuilder g;
  const at::Tensor frequencies = at::pow(at::scalar_tensor(0.5), at::arange(8)).to(at::kFloat);
  Node* turns = g.call("aten.mul.Tensor", {g.input({4, 1}), g.tensor("frequencies", frequencies)});
  Node* shifted = g.call("aten.unsqueeze.default", {g.call("aten.add.Tensor", {turns, 0.5}), int64_t{0}});
  Node* sine = g.call("aten.sin.default", {shifted});
  Node* cosine = g.call("aten.cos.default", {shifted});
  const auto model = g.finish({g.call("aten.cat.default", {Arg(std::vector<Arg>{sine, cosine}), int64_t{2}})});
  expect_finite_and_near(model, {at::tensor({3.0F, 250.0F, 777.0F, 1000.0F}).view({4, 1})}, 35.0);
}

// What weights are multiplied with stays on the NPU: the layers of a network of sines.
TEST(Angles, LayersInFrontOfASineAreQuantized) {
  at::manual_seed(0);
  GraphBuilder g;
  Node* layer = g.call("aten.linear.default", {g.input({4, 8}), g.parameter("weight", {8, 8})});
  const auto model = g.finish({g.call("aten.sin_.default", {g.call("aten.mul.Tensor", {layer, 30.0})})});
  const auto quantized = divided(model, {at::randn({4, 8})});
  EXPECT_TRUE(output_grid(*quantized, "aten.linear.default"));
  EXPECT_FALSE(output_grid(*quantized, "aten.mul.Tensor"));
}

}  // namespace
}  // namespace octet
