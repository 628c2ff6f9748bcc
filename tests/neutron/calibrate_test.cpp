// Ranges of training: calibrated as well as those after training, joint where a grid is shared.

#include "octet/quantize/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

using test::GraphBuilder;
using Samples = std::vector<std::vector<at::Tensor>>;

NeutronQuantizer quantizer_for(bool is_qat, QatRanges ranges = QatRanges::kJoint) {
  NeutronOptions options;
  options.is_qat = is_qat;
  options.mul_range = MulRange::kObserved;
  options.qat_ranges = ranges;
  return NeutronQuantizer(options);
}

// Least SQNR of the results on `inputs`.
double sqnr_of(const std::shared_ptr<GraphModule>& model, const Samples& samples, const std::vector<at::Tensor>& inputs,
               bool is_qat, QatRanges ranges = QatRanges::kJoint) {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> wanted = model->copy()->run(inputs);
  NeutronQuantizer quantizer = quantizer_for(is_qat, ranges);
  const std::vector<at::Tensor> got = calibrate_and_quantize(model->copy(), samples, quantizer)->run(inputs);
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < got.size(); ++i) least = std::min(least, compute_error(wanted[i], got[i]));
  return least;
}

// The first sample is faint, the others are not.
Samples varied_samples(int64_t count, const std::vector<int64_t>& sizes) {
  Samples samples;
  for (int64_t i = 0; i < count; ++i) samples.push_back({at::randn(sizes) * (i == 0 ? 0.1 : 1.0 + 0.1 * i)});
  return samples;
}

TEST(Calibrate, ForTrainingAsWellAsAfterIt) {
  at::manual_seed(0);
  GraphBuilder g;
  Node* x = g.call("aten.relu.default", {g.batch_norm("n", g.conv2d("a", g.input({1, 3, 8, 8}), 3, 8), 8)});
  Node* sum = g.call("aten.add.Tensor", {g.conv2d("b", x, 8, 8), x});
  const auto model = g.finish({g.call("aten.mean.dim", {g.conv2d("c", sum, 8, 4), std::vector<int64_t>{2, 3}, true})});
  const Samples samples = varied_samples(12, {1, 3, 8, 8});
  const std::vector<at::Tensor> inputs = {at::randn({1, 3, 8, 8}) * 1.5};
  const double after = sqnr_of(model, samples, inputs, false);
  EXPECT_GT(after, 25.0);
  EXPECT_GT(sqnr_of(model, samples, inputs, true), after - 1.0);
  EXPECT_LT(sqnr_of(model, samples, inputs, true, QatRanges::kReference), after - 6.0) << "it follows the first sample";
}

TEST(Calibrate, TrainingGoesOnFromThere) {
  at::manual_seed(1);
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.relu.default", {g.conv2d("a", g.input({1, 3, 8, 8}), 3, 8)})});
  NeutronQuantizer quantizer = quantizer_for(true);
  auto prepared = prepare(model, quantizer);
  prepared->train(true);
  const Samples samples = varied_samples(4, {1, 3, 8, 8});
  calibrate(*prepared, samples);
  EXPECT_TRUE(prepared->is_training());
  const auto input = std::dynamic_pointer_cast<FakeQuantize>(prepared->callable("activation_post_process_0"));
  ASSERT_NE(input, nullptr);
  EXPECT_TRUE(input->is_observer_enabled() && input->is_fake_quant_enabled());
  const float started = input->scale.item<float>();
  const double widest = samples.back()[0].max().item<double>() - samples.back()[0].min().item<double>();
  EXPECT_GT(started, 0.8 * widest / 255.0);
  prepared->run({at::zeros({1, 3, 8, 8})});
  EXPECT_NEAR(input->scale.item<float>(), 0.99F * started, 1e-5 * started) << "a step of the average";
}

// Two branches of very different range share the grid of their concatenation.
TEST(SharedGrids, HoldTheWidestMemberInTraining) {
  for (const QatRanges ranges : {QatRanges::kJoint, QatRanges::kReference}) {
    at::manual_seed(2);
    GraphBuilder g;
    Node* x = g.input({4, 3, 8, 8});
    Node* faint = g.call("aten.relu.default", {g.conv2d("a", x, 3, 4)});
    Node* wide = g.conv2d("b", x, 3, 4);
    Node* joined = g.call("aten.cat.default", {std::vector<Arg>{faint, wide}, int64_t{1}});
    const auto model = g.finish({joined});
    {
      const at::NoGradGuard no_grad;
      for (const char* name : {"a.weight", "a.bias"}) model->attr(name).mul_(0.05);
    }
    const std::vector<at::Tensor> wanted = model->copy()->run(g.inputs());
    NeutronQuantizer quantizer = quantizer_for(true, ranges);
    const auto quantized = calibrate_and_quantize(model, {}, quantizer, [&](GraphModule& prepared) {
      const at::NoGradGuard no_grad;
      for (int step = 0; step < 400; ++step) prepared.run(g.inputs());
    });
    const double got = compute_error(wanted[0], quantized->run(g.inputs())[0]);
    if (ranges == QatRanges::kJoint) {
      EXPECT_GT(got, 30.0);
    } else {
      EXPECT_LT(got, 20.0) << "the mean of the members' ranges";
    }
  }
}

TEST(Calibrate, NamesWhereTheFirstNanComesFrom) {
  const auto build = [](GraphBuilder& g) {
    Node* x = g.call("aten.log.default", {g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4)});
    return g.finish({g.call("aten.relu.default", {x})});
  };
  for (const bool is_qat : {false, true}) {
    const auto calibrate_on = [&](const std::shared_ptr<GraphModule>& model, const at::Tensor& second) {
      NeutronQuantizer quantizer = quantizer_for(is_qat);
      calibrate_and_quantize(model, {{at::zeros({1, 3, 8, 8})}, {second}}, quantizer);
    };
    const auto model_of = [&](GraphBuilder& g) {
      at::manual_seed(3);
      const auto model = build(g);
      const at::NoGradGuard no_grad;
      model->attr("a.bias").fill_(1.0);
      return model;
    };
    GraphBuilder nan_input;
    test::expect_error(
        [&] {
          calibrate_on(model_of(nan_input), at::full({1, 3, 8, 8}, NAN));
        },
        {"input 'x1'", "sample 1 holds NaN"});
    GraphBuilder nan_value;
    test::expect_error(
        [&] {
          calibrate_on(model_of(nan_value), at::full({1, 3, 8, 8}, 100.0));
        },
        {"[log ", "gives NaN for sample 1"});
    GraphBuilder nan_weight;
    const auto model = model_of(nan_weight);
    {
      const at::NoGradGuard no_grad;
      model->attr("a.bias").fill_(NAN);
    }
    test::expect_error([&] { calibrate_on(model, at::zeros({1, 3, 8, 8})); }, {"parameter 'a.bias'", "holds NaN"});
    {
      const at::NoGradGuard no_grad;
      model->attr("a.bias").fill_(INFINITY);
    }
    test::expect_error([&] { calibrate_on(model, at::zeros({1, 3, 8, 8})); }, {"parameter 'a.bias'", "holds infinity"});
  }
}

// Named by where it lies, not by the weight that it is folded into.
TEST(Calibrate, NamesTheBufferThatHoldsNan) {
  for (const bool is_qat : {false, true}) {
    GraphBuilder g;
    const auto model = g.finish({g.batch_norm("n", g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4), 4)});
    model->attr("n.running_var").select(0, 2).fill_(NAN);
    NeutronQuantizer quantizer = quantizer_for(is_qat);
    test::expect_error(
        [&] {
          calibrate_and_quantize(model->copy(), {{at::zeros({1, 3, 8, 8})}}, quantizer);
        },
        {"buffer 'n.running_var'", "holds NaN"});
    test::expect_error([&] { targets::check_model(*model, quantizer); }, {"buffer 'n.running_var'", "holds NaN"});
  }
}

// (w - mean(w)) * rsqrt(var(w) + eps), as models with group normalization write it.
Node* standardized(GraphBuilder& g, const std::string& name, const std::vector<int64_t>& sizes) {
  Node* w = g.parameter(name, sizes);
  const std::vector<int64_t> dims = {1, 2, 3};
  Node* mean = g.call("aten.mean.dim", {w, dims, true});
  Node* variance = g.call("aten.var.dim", {w, dims, false, true});
  Node* factor = g.call("aten.rsqrt.default", {g.call("aten.add.Tensor", {variance, 1e-6})});
  return g.call("aten.mul.Tensor", {g.call("aten.sub.Tensor", {w, mean}), factor});
}

Node* conv_of(GraphBuilder& g, Node* x, Node* weight) {
  return g.call("aten.conv2d.default", {x, weight, Arg(), std::vector<int64_t>{1, 1}, std::vector<int64_t>{1, 1},
                                        std::vector<int64_t>{1, 1}, 1});
}

TEST(ComputedWeights, AreWeightsInTraining) {
  for (const bool with_batch_norm : {false, true}) {
    at::manual_seed(4);
    GraphBuilder g;
    Node* x = conv_of(g, g.input({2, 3, 8, 8}), standardized(g, "a.weight", {8, 3, 3, 3}));
    if (with_batch_norm) x = g.batch_norm("n", x, 8);
    x = g.call("aten.relu.default", {x});
    const auto model = g.finish({conv_of(g, x, standardized(g, "b.weight", {4, 8, 3, 3}))});
    const Samples samples = {g.inputs(), {at::randn({2, 3, 8, 8})}};
    const double after = sqnr_of(model, samples, g.inputs(), false);
    EXPECT_GT(after, 25.0);
    EXPECT_GT(sqnr_of(model, samples, g.inputs(), true), after - 1.0);

    NeutronQuantizer quantizer = quantizer_for(true);
    const auto quantized = calibrate_and_quantize(model->copy(), samples, quantizer);
    for (const QuantRow& row : quantization_rows(*quantized)) {
      for (const char* op : {"sub", "rsqrt", "mul", "var", "mean"}) {
        EXPECT_NE(row.op.substr(0, row.op.rfind('.')), octet::str("aten.", op)) << "it is no constant";
      }
    }
    auto prepared = prepare(model->copy(), quantizer);
    prepared->train(true);
    prepared->run(g.inputs()).at(0).square().mean().backward();
    const at::Tensor gradient = prepared->attr("a.weight").grad();
    ASSERT_TRUE(gradient.defined());
    EXPECT_GT(gradient.abs().max().item<double>(), 0.0) << "it is trained through its computation";
  }
}

}  // namespace
}  // namespace octet
