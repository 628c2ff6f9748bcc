#include "octet/quantize/qat_conv_bn.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <gtest/gtest.h>

#include "octet/integer/path.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::ints;
using Kind = test::LayerKind;

std::vector<Kind> kinds() {
  return {
      {"aten.conv1d.default", {4, 4, 9}, {6, 4, 3}, 6, {{"stride", ints({2})}}},
      {"aten.conv2d.default", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", ints({1, 1})}}},
      {"aten.conv2d.default", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"dilation", ints({2, 2})}}, false},
      {"aten.conv2d.default", {4, 4, 7, 7}, {8, 1, 3, 3}, 8, {{"groups", Arg(4)}}},
      {"aten.conv2d.padding", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", Arg("same")}}},
      {"aten.conv3d.default", {4, 2, 5, 5, 5}, {4, 2, 3, 3, 3}, 4, {}},
      {"aten.conv_transpose1d.default", {4, 4, 7}, {4, 6, 3}, 6, {{"stride", ints({2})}}},
      {"aten.conv_transpose2d.input", {4, 4, 5, 5}, {4, 6, 3, 3}, 6, {{"stride", ints({2, 2})}}},
      {"aten.conv_transpose2d.input", {4, 4, 5, 5}, {4, 3, 3, 3}, 6, {{"groups", Arg(2)}}},
      {"aten.conv_transpose2d.input", {4, 4, 5, 5}, {4, 3, 3, 3}, 6, {{"groups", Arg(2)}}, false},
      {"aten.conv_transpose3d.input", {4, 2, 3, 3, 3}, {2, 4, 2, 2, 2}, 4, {}},
      {"aten.linear.default", {8, 5}, {7, 5}, 7, {}},
      {"aten.linear.default", {8, 5}, {7, 5}, 7, {}, false},
  };
}

std::shared_ptr<GraphModule> net_of(const Kind& kind, bool relu = true) {
  test::Net net(kind.input);
  net.conv(kind.op, "c", kind.weight, kind.out, kind.bias, kind.named);
  net.batch_norm("bn", kind.out, 1e-3, 0.03);
  if (relu) net.relu();
  return net.finish();
}

std::shared_ptr<QatConvBn> simulated(GraphModule& module) {
  for (const std::string& name : module.callable_names()) {
    if (auto found = std::dynamic_pointer_cast<QatConvBn>(module.callable(name))) return found;
  }
  return nullptr;
}

void train_steps(GraphModule& module, const std::vector<int64_t>& sizes, int steps, double rate = 0.02) {
  for (int i = 0; i < steps; ++i) {
    for (at::Tensor& p : module.parameters()) p.mutable_grad() = at::Tensor();
    const at::Tensor out = module(at::randn(sizes));
    (out - 0.3).square().mean().backward();
    const at::NoGradGuard no_grad;
    for (at::Tensor& p : module.parameters()) {
      if (p.grad().defined()) p.sub_(p.grad() * rate);
    }
  }
}

// Reads every quantized bias: int32 behind a dequantize, or absent.
void expect_int32_biases(GraphModule& module) {
  for (Node* node : module.graph().nodes()) {
    if (!conv_info(*node) || node->arg(2).is_none()) continue;
    const Node* dequantize = node->arg(2).node();
    ASSERT_TRUE(dequantize->is_call()) << dequantize->name();
    EXPECT_NE(dequantize->target().find("dequantize_per"), std::string::npos);
    EXPECT_EQ(module.attr(dequantize->arg(0).node()->target()).scalar_type(), at::kInt);
  }
}

// Without rounding, both forms are the float model's own arithmetic.
TEST(QatConvBn, WithoutFakeQuantizersItIsTheFloatModel) {
  at::manual_seed(1);
  for (const Kind& kind : kinds()) {
    auto plain = net_of(kind);
    auto trained = plain->copy();
    test::SimpleQuantizer quantizer(/*qat=*/true);
    trained = prepare_qat_pt2e(trained, quantizer);
    ASSERT_NE(simulated(*trained), nullptr) << kind.op;
    trained->apply([](torch::nn::Module& module) {
      disable_fake_quant(module);
      disable_observer(module);
    });
    for (const bool train : {false, true, false}) {
      plain->train(train);
      trained->train(train);
      const at::Tensor x = at::randn(kind.input);
      EXPECT_TRUE(at::allclose((*plain)(x), (*trained)(x), 1e-4, 1e-4)) << kind.op << " train " << train;
      EXPECT_TRUE(at::allclose(plain->attr("bn.running_mean"), trained->attr("bn.running_mean"), 1e-4, 1e-5))
          << kind.op;
      EXPECT_TRUE(at::allclose(plain->attr("bn.running_var"), trained->attr("bn.running_var"), 1e-4, 1e-5)) << kind.op;
    }
  }
}

TEST(QatConvBn, GradientsAgreeWithThePlainFormula) {
  at::manual_seed(2);
  for (const bool frozen : {false, true}) {
    const auto options = at::TensorOptions(at::kFloat);
    test::Net net({4, 3, 6, 6});
    net.conv2d("c", 3, 5, true);
    net.batch_norm("bn", 5, 1e-3);
    auto module = net.finish();
    test::SimpleQuantizer quantizer(true);
    module = prepare_qat_pt2e(module, quantizer);
    auto conv_bn = simulated(*module);
    conv_bn->train();
    conv_bn->freeze_bn_stats(frozen);
    const at::Tensor x = at::randn({4, 3, 6, 6}, options).set_requires_grad(true);
    const at::Tensor gamma_values = at::tensor({1.2f, -0.7f, 0.4f, 2.0f, -1.1f});
    const auto leaves = [&] {
      std::vector<at::Tensor> made = {x.detach().clone(), module->attr("c.weight").detach().clone(),
                                      module->attr("c.bias").detach().clone(), gamma_values.clone(),
                                      module->attr("bn.bias").detach().clone()};
      for (at::Tensor& leaf : made) leaf.set_requires_grad(true);
      return made;
    };
    const at::Tensor mean = module->attr("bn.running_mean").clone();
    const at::Tensor var = module->attr("bn.running_var").clone();
    const at::Tensor weight_of_loss = at::randn({4, 5, 6, 6});

    auto a = leaves();
    // Twice: the bias is rounded once its sources have data.
    {
      const at::NoGradGuard no_grad;
      (*module)(x.detach());
    }
    disable_observer(*conv_bn->weight_fake_quant());
    const at::Tensor got = conv_bn->call({a[0], a[1], a[2], a[3], a[4], mean.clone(), var.clone()});
    (got * weight_of_loss).sum().backward();

    auto b = leaves();
    const at::Tensor f = b[3] / (var + 1e-3).sqrt();
    const at::Tensor scaled = b[1] * f.view({5, 1, 1, 1});
    const QParams grid = conv_bn->weight_fake_quant()->calculate_qparams();
    const at::Tensor rounded = fake_quantize_reference(scaled, grid.scale, grid.zero_point, 0, -127, 127);
    at::Tensor wanted;
    if (frozen) {
      wanted = at::conv2d(b[0], rounded, (b[2] - mean) * f + b[4], 1, 1);
    } else {
      const at::Tensor u = at::conv2d(b[0], rounded, {}, 1, 1) / f.view({1, 5, 1, 1}) + b[2].view({1, 5, 1, 1});
      wanted = at::batch_norm(u, b[3], b[4], mean.clone(), var.clone(), true, 0.1, 1e-3, false);
    }
    (wanted * weight_of_loss).sum().backward();
    EXPECT_TRUE(at::allclose(got, wanted, 1e-3, 1e-3));
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_TRUE(a[i].grad().defined());
      EXPECT_TRUE(at::allclose(a[i].grad(), b[i].grad(), 2e-3, 2e-3)) << "input " << i << " frozen " << frozen;
    }
  }
}

// What the reference loses: its pattern writes eps 1e-5 and momentum 0.1 over the model's own.
TEST(QatConvBn, KeepsEpsAndMomentum) {
  at::manual_seed(3);
  const Kind kind = kinds()[1];
  auto module = net_of(kind);
  const at::Tensor mean_before = module->attr("bn.running_mean").clone();
  test::SimpleQuantizer quantizer(true);
  module = prepare_qat_pt2e(module, quantizer);
  auto conv_bn = simulated(*module);
  EXPECT_EQ(conv_bn->eps(), 1e-3);
  EXPECT_EQ(conv_bn->momentum(), 0.03);
  module = move_exported_model_to_train(module);
  (*module)(at::randn(kind.input) + 3);
  const at::Tensor moved = module->attr("bn.running_mean") - mean_before;
  module = move_exported_model_to_train(move_exported_model_to_eval(module));
  auto converted = convert_pt2e(move_exported_model_to_eval(module));
  // The fold divides by sqrt(var + 1e-3): with the reference's 1e-5 the bias would be another.
  const at::Tensor var = module->attr("bn.running_var");
  const at::Tensor factor = module->attr("bn.weight") / (var + 1e-3).sqrt();
  const auto conv = test::calls(*converted, "aten.conv2d.default");
  ASSERT_EQ(conv.size(), 1u);
  const at::Tensor bias_steps = converted->attr(conv[0]->arg(2).node()->arg(0).node()->target()).to(at::kFloat);
  const at::Tensor bias_scale = converted->attr(conv[0]->arg(2).node()->arg(1).node()->target());
  const at::Tensor wanted =
      (module->attr("c.bias") - module->attr("bn.running_mean")) * factor + module->attr("bn.bias");
  EXPECT_TRUE(at::allclose(bias_steps * bias_scale, wanted, 1e-4, 1e-3));
  EXPECT_GT(moved.abs().max().item<float>(), 0);
}

TEST(QatConvBn, MomentumMovesTheStatisticsByItsOwnShare) {
  at::manual_seed(4);
  const Kind kind = kinds()[1];
  auto plain = net_of(kind);
  auto module = plain->copy();
  test::SimpleQuantizer quantizer(true);
  module = prepare_qat_pt2e(module, quantizer);
  plain->train(true);
  module->train(true);
  for (int i = 0; i < 5; ++i) {
    const at::Tensor x = at::randn(kind.input) + 1;
    (*plain)(x);
    (*module)(x);
  }
  const at::Tensor difference = (plain->attr("bn.running_mean") - module->attr("bn.running_mean")).abs().max();
  EXPECT_LT(difference.item<float>(), 0.01);
}

TEST(QatConvBn, GammaOfZeroTrains) {
  at::manual_seed(5);
  const Kind kind = kinds()[1];
  auto module = net_of(kind, /*relu=*/false);
  {
    const at::NoGradGuard no_grad;
    module->attr("bn.weight").zero_();
  }
  test::SimpleQuantizer quantizer(true);
  module = move_exported_model_to_train(prepare_qat_pt2e(module, quantizer));
  const at::Tensor target = at::randn({4, 6, 7, 7});
  at::Tensor loss = ((*module)(at::randn(kind.input)) - target).square().mean();
  loss.backward();
  for (const auto& parameter : module->named_parameters()) {
    if (!parameter.value().grad().defined()) continue;
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
  }
  EXPECT_GT(module->attr("bn.weight").grad().abs().max().item<float>(), 0);
  train_steps(*module, kind.input, 10);
  EXPECT_TRUE(module->attr("c.weight").isfinite().all().item<bool>());
  EXPECT_GT(module->attr("bn.weight").abs().min().item<float>(), 0);
  EXPECT_TRUE((*module)(at::randn(kind.input)).isfinite().all().item<bool>());
}

// The grid that training saw last, its rounding of the bias included, is the one that convert writes: outputs agree to
// the bit.
TEST(QatConvBn, ConvertedEqualsTrainedInEval) {
  at::manual_seed(6);
  for (const Kind& kind : kinds()) {
    for (const bool per_channel : {true, false}) {
      test::SimpleQuantizer quantizer(true, per_channel);
      auto module = move_exported_model_to_train(prepare_qat_pt2e(net_of(kind), quantizer));
      train_steps(*module, kind.input, 6);
      module = move_exported_model_to_eval(module);
      (*module)(at::randn(kind.input));
      module->apply([](torch::nn::Module& m) { disable_observer(m); });
      auto converted = convert_pt2e(module);
      EXPECT_TRUE(test::calls(*converted, "aten.batch_norm.default").empty());
      expect_int32_biases(*converted);
      for (int i = 0; i < 3; ++i) {
        const at::Tensor x = at::randn(kind.input);
        const at::Tensor trained_out = (*module)(x);
        const at::Tensor converted_out = (*converted)(x);
        EXPECT_TRUE(at::equal(trained_out, converted_out))
            << kind.op << " off by " << (trained_out - converted_out).abs().max();
      }
    }
  }
}

TEST(QatConvBn, TrainedGridEqualsConvertedGridBitForBit) {
  at::manual_seed(7);
  const Kind kind = kinds()[1];
  test::SimpleQuantizer quantizer(true);
  auto module = move_exported_model_to_train(prepare_qat_pt2e(net_of(kind), quantizer));
  {
    // One-sided and tiny channels: where the reference's fused kernel takes another formula than its convert.
    const at::NoGradGuard no_grad;
    module->attr("c.weight")[0].abs_();
    module->attr("c.weight")[1].mul_(1e-5);
    module->attr("c.weight")[2].zero_();
  }
  train_steps(*module, kind.input, 3);
  auto conv_bn = simulated(*module);
  const QParams grid = conv_bn->weight_fake_quant()->calculate_qparams();
  module = move_exported_model_to_eval(module);
  module->apply([](torch::nn::Module& m) { disable_observer(m); });
  auto converted = convert_pt2e(module);
  const auto conv = test::calls(*converted, "aten.conv2d.default");
  Node* weight = conv[0]->arg(1).node();
  EXPECT_TRUE(at::equal(converted->attr(weight->arg("scales").node()->target()), grid.scale));
  EXPECT_TRUE(at::equal(converted->attr(weight->arg("zero_points").node()->target()), grid.zero_point));
  const at::Tensor integers = converted->attr(weight->arg(0).node()->target());
  EXPECT_EQ(integers.scalar_type(), at::kChar);
  const QatConvBn::Folded folded = conv_bn->fold({{},
                                                  module->attr("c.weight"),
                                                  module->attr("c.bias"),
                                                  module->attr("bn.weight"),
                                                  module->attr("bn.bias"),
                                                  module->attr("bn.running_mean"),
                                                  module->attr("bn.running_var")});
  const at::Tensor seen = conv_bn->weight_fake_quant()->forward(folded.weight);
  EXPECT_TRUE(at::equal(integers.to(at::kFloat) * grid.scale.view({-1, 1, 1, 1}), seen));
}

TEST(QatConvBn, BiaslessConvolutionsEndWithAnInt32Bias) {
  at::manual_seed(8);
  const Kind kind = kinds()[2];
  test::SimpleQuantizer quantizer(true);
  auto module = move_exported_model_to_train(prepare_qat_pt2e(net_of(kind), quantizer));
  train_steps(*module, kind.input, 2);
  auto converted = convert_pt2e(move_exported_model_to_eval(module));
  const auto conv = test::calls(*converted, "aten.conv2d.default");
  ASSERT_EQ(conv.size(), 1u);
  ASSERT_FALSE(conv[0]->arg(2).is_none());
  expect_int32_biases(*converted);
  EXPECT_TRUE(converted->has_attr(conv[0]->arg(2).node()->arg(0).node()->target()));
  EXPECT_FALSE(converted->has_attr("c.weight"));
  EXPECT_FALSE(converted->has_attr("bn.running_var"));
}

TEST(QatConvBn, FreezingHoldsTheStatisticsButNotTheGradients) {
  at::manual_seed(9);
  const Kind kind = kinds()[1];
  test::SimpleQuantizer quantizer(true);
  auto module = move_exported_model_to_train(prepare_qat_pt2e(net_of(kind), quantizer));
  train_steps(*module, kind.input, 1);
  module->apply([](torch::nn::Module& m) { freeze_bn_stats(m); });
  const at::Tensor mean = module->attr("bn.running_mean").clone();
  train_steps(*module, kind.input, 1);
  EXPECT_TRUE(at::equal(mean, module->attr("bn.running_mean")));
  for (const char* name : {"c.weight", "c.bias", "bn.weight", "bn.bias"}) {
    EXPECT_GT(module->attr(name).grad().abs().max().item<float>(), 0) << name;
  }
  auto copied = module->copy();  // the frozen flag is state
  train_steps(*copied, kind.input, 1);
  EXPECT_TRUE(at::equal(mean, copied->attr("bn.running_mean")));
  unfreeze_bn_stats(*module);
  train_steps(*module, kind.input, 1);
  EXPECT_FALSE(at::equal(mean, module->attr("bn.running_mean")));
}

TEST(QatConvBn, ACopyHasItsOwnQuantizers) {
  at::manual_seed(10);
  const Kind kind = kinds()[1];
  test::SimpleQuantizer quantizer(true);
  auto module = move_exported_model_to_train(prepare_qat_pt2e(net_of(kind), quantizer));
  train_steps(*module, kind.input, 2);
  auto copied = module->copy();
  const QParams before = simulated(*copied)->bias_fake_quant()->calculate_qparams();
  // Other data in the original must not move the copy's derived grid, and other data in the copy must.
  (*module)(at::randn(kind.input) * 100);
  EXPECT_TRUE(at::equal(before.scale, simulated(*copied)->bias_fake_quant()->calculate_qparams().scale));
  (*copied)(at::randn(kind.input) * 100);
  EXPECT_FALSE(at::equal(before.scale, simulated(*copied)->bias_fake_quant()->calculate_qparams().scale));
}

TEST(QatConvBn, AConvolutionReadByOthersIsNotFused) {
  test::Net net({2, 3, 6, 6});
  Node* conv = net.conv2d("c", 3, 3, true);
  Node* bn = net.batch_norm("bn", 3);
  net.call("aten.add.Tensor", {Arg(conv), Arg(bn)});
  auto module = net.finish();
  test::SimpleQuantizer quantizer(true);
  module = prepare_qat_pt2e(module, quantizer);
  EXPECT_EQ(simulated(*module), nullptr);
  EXPECT_EQ(test::calls(*module, "aten.batch_norm.default").size(), 1u);
}

// Where x lies on a grid, the forward pass may sum in integers: the same values but for what float sums lose, the same
// gradients; what only looks like a grid is computed as ever.
TEST(QatConvBn, SumsInIntegersWhatLiesOnGrids) {
  at::manual_seed(12);
  const Kind kind = {"aten.conv2d.default", {3, 32, 9, 11}, {40, 32, 3, 3}, 40, {{"padding", ints({1, 1})}}};
  const RoundingGrid grid{0.031F, 7};
  for (const bool frozen_statistics : {false, true}) {
    test::SimpleQuantizer quantizer(/*qat=*/true);
    auto module = prepare_qat_pt2e(net_of(kind), quantizer);
    module->train(true);
    (*module)(at::randn(kind.input));
    if (frozen_statistics) freeze_bn_stats(*module);
    module->apply(disable_observer);
    const auto product = simulated(*module);
    const at::Tensor levels = at::randint(-128, 128, kind.input, at::kFloat);
    const at::Tensor x = ((levels - 7) * 0.031F).contiguous(at::MemoryFormat::ChannelsLast);
    std::vector<at::Tensor> inputs{x};
    for (const char* name : {"c.weight", "c.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"}) {
      inputs.push_back(module->attr(name));
    }
    inputs[1] = inputs[1].detach().contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
    const auto run = [&](const at::Tensor& of, const RoundingGrid* known) {
      inputs[0] = of.detach().requires_grad_();
      inputs[1].mutable_grad() = at::Tensor();
      at::Tensor y =
          product->normalizes_batch() ? product->before_batch_norm(inputs, known) : product->call(inputs, known);
      y.square().mean().backward();
      return std::vector<at::Tensor>{y.detach(), inputs[0].grad(), inputs[1].grad()};
    };
    const auto in_floats = run(x, nullptr), in_integers = run(x, &grid);
    for (size_t i = 0; i < in_floats.size(); ++i) {
      const double apart = ((in_integers[i] - in_floats[i]).norm() / in_floats[i].norm()).item<double>();
      EXPECT_LT(apart, 1e-5) << i << " frozen " << frozen_statistics;
    }
    const auto path = integer::best_path();
    const bool sums = path == integer::Path::kVnni || path == integer::Path::kAmx;
    EXPECT_NE(in_integers[0].equal(in_floats[0]), sums) << "float sums of 288 products are not exact";
    at::Tensor off = x.clone();
    off[1][2][3][4] += 0.01;
    EXPECT_TRUE(run(off, &grid)[0].equal(run(off, nullptr)[0]));
    const RoundingGrid other{0.03F, 7};
    EXPECT_TRUE(run(x, &other)[0].equal(in_floats[0]));
  }
}

}  // namespace
}  // namespace octet
