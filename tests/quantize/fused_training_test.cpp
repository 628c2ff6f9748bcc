#include "octet/quantize/fused_training.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>

#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::ints;

double norm_apart(const at::Tensor& got, const at::Tensor& wanted) {
  return ((got - wanted).norm() / (wanted.norm() + 1e-12)).item<double>();
}

// How many groups of steps the program's fake quantizers find.
int fused_groups(const GraphModule& module) {
  int found = 0;
  for (const Node* node : module.graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    if (std::dynamic_pointer_cast<FakeQuantize>(module.callable(node->target()))) {
      found += fuse_training_steps(module, *node) ? 1 : 0;
    }
  }
  return found;
}

// One training step of a model; what it gave, and left behind.
struct TrainingStep {
  at::Tensor value;
  std::vector<at::Tensor> gradients;
  std::vector<at::Tensor> buffers;
};

TrainingStep training_step(GraphModule& module, const at::Tensor& x, bool fused) {
  set_fuses_steps(fused);
  for (at::Tensor& p : module.parameters()) p.mutable_grad() = at::Tensor();
  const at::Tensor input = x.clone().set_requires_grad(true);
  TrainingStep made;
  made.value = module(input);
  at::manual_seed(7);
  (made.value * at::randn(made.value.sizes())).sum().backward();
  made.gradients.push_back(input.grad());
  for (const at::Tensor& p : module.parameters()) made.gradients.push_back(p.grad());
  for (const auto& buffer : module.named_buffers()) made.buffers.push_back(buffer.value().clone());
  set_fuses_steps(true);
  return made;
}

void expect_same_steps(const std::shared_ptr<GraphModule>& prepared, const at::Tensor& x, const std::string& what,
                       double tolerance = 1e-4) {
  auto plain = prepared->copy();
  auto fused = prepared->copy();
  plain->train(prepared->is_training());
  fused->train(prepared->is_training());
  for (int i = 0; i < 2; ++i) {
    const TrainingStep a = training_step(*plain, x, false);
    const TrainingStep b = training_step(*fused, x, true);
    EXPECT_LT(norm_apart(b.value.detach(), a.value.detach()), 1e-2) << what;  // a level, here and there
    EXPECT_EQ(a.value.strides(), b.value.strides()) << what;
    ASSERT_EQ(a.gradients.size(), b.gradients.size());
    for (size_t k = 0; k < a.gradients.size(); ++k) {
      ASSERT_EQ(a.gradients[k].defined(), b.gradients[k].defined()) << what << " " << k;
      if (!a.gradients[k].defined()) continue;
      // The bias in front of a BatchNorm has the gradient 0, and noise.
      const double noise = (a.gradients[k] - b.gradients[k]).abs().max().item<double>();
      EXPECT_TRUE(norm_apart(b.gradients[k], a.gradients[k]) < tolerance || noise < 1e-3) << what << " gradient " << k;
    }
    ASSERT_EQ(a.buffers.size(), b.buffers.size());
    for (size_t k = 0; k < a.buffers.size(); ++k) {
      EXPECT_LT(norm_apart(b.buffers[k].to(at::kDouble), a.buffers[k].to(at::kDouble)), 1e-4)
          << what << " buffer " << k;
    }
  }
}

std::vector<test::LayerKind> fused_kinds() {
  return {
      {"aten.conv1d.default", {4, 4, 9}, {6, 4, 3}, 6, {{"stride", ints({2})}}},
      {"aten.conv2d.default", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", ints({1, 1})}}},
      {"aten.conv2d.default", {1, 3, 17, 13}, {7, 3, 3, 3}, 7, {{"stride", ints({2, 2})}}, false},
      {"aten.conv2d.default", {4, 4, 7, 7}, {8, 1, 3, 3}, 8, {{"groups", Arg(4)}}, false},
      {"aten.conv2d.padding", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", Arg("same")}}},
      {"aten.conv3d.default", {4, 2, 5, 5, 5}, {4, 2, 3, 3, 3}, 4, {}},
      {"aten.conv_transpose2d.input", {4, 4, 5, 5}, {4, 3, 3, 3}, 6, {{"groups", Arg(2)}}},
      {"aten.linear.default", {8, 5}, {7, 5}, 7, {}},
  };
}

std::shared_ptr<GraphModule> prepared_for_training(std::shared_ptr<GraphModule> module) {
  test::SimpleQuantizer quantizer(/*qat=*/true);
  auto made = prepare_qat_pt2e(std::move(module), quantizer);
  made->train(true);
  return made;
}

TEST(FusedTraining, AgreesWithTheStepsOneByOne) {
  at::manual_seed(1);
  const int before = at::get_num_threads();
  for (const int threads : {1, 2}) {
    at::set_num_threads(threads);
    for (const test::LayerKind& kind : fused_kinds()) {
      for (const bool last : {false, true}) {
        for (const bool relu : {false, true}) {
          if (last && kind.input.size() != 4) continue;
          test::Net net(kind.input);
          net.conv(kind.op, "c", kind.weight, kind.out, kind.bias, kind.named);
          net.batch_norm("bn", kind.out, 1e-3, 0.03);
          if (relu) net.relu();
          auto module = prepared_for_training(net.finish());
          EXPECT_EQ(fused_groups(*module), 1) << kind.op;
          at::Tensor x = at::randn(kind.input);
          if (last) x = x.contiguous(at::MemoryFormat::ChannelsLast);
          expect_same_steps(module, x, octet::str(kind.op, " relu ", relu, " channels last ", last));
        }
      }
    }
  }
  at::set_num_threads(before);
}

std::shared_ptr<GraphModule> residual_net() {
  test::Net net({4, 3, 12, 12});
  net.conv2d("stem", 3, 8, false);
  net.batch_norm("bn0", 8);
  Node* trunk = net.call("aten.hardtanh.default", {Arg(net.last), Arg(0.0), Arg(6.0)});
  net.conv2d("deep", 8, 8, true);
  net.batch_norm("bn1", 8);
  net.call("aten.add.Tensor", {Arg(net.last), Arg(trunk)});
  net.relu();
  net.conv2d("plain", 8, 5, true);
  net.call("aten.clamp.default", {Arg(net.last), Arg(-1.0), Arg(2.0)});
  return net.finish();
}

TEST(FusedTraining, FindsSumsAndActivationsBehindOtherProducts) {
  at::manual_seed(2);
  auto module = prepared_for_training(residual_net());
  EXPECT_GE(fused_groups(*module), 3);
  expect_same_steps(module, at::randn({4, 3, 12, 12}), "residual", 2e-2);  // a flipped level goes on through layers
}

// A convolution behind a fake quantizer, also through a pool: in integers where the CPU is fast at that.
TEST(FusedTraining, AgreesWithTheStepsWhereAProductReadsAGrid) {
  at::manual_seed(8);
  test::Net net({4, 16, 14, 14});
  net.conv2d("first", 16, 32, false);
  net.batch_norm("bn0", 32);
  net.relu();
  net.call("aten.max_pool2d.default", {Arg(net.last), ints({2, 2}), ints({2, 2})});
  net.conv2d("second", 32, 40, true);
  net.batch_norm("bn1", 40);
  net.relu();
  auto module = prepared_for_training(net.finish());
  EXPECT_EQ(fused_groups(*module), 2);
  const at::Tensor x = at::randn({4, 16, 14, 14}).contiguous(at::MemoryFormat::ChannelsLast);
  expect_same_steps(module, x, "ranges observed", 2e-2);
  training_step(*module, x, false);  // everything has seen data
  module->apply(disable_observer);
  expect_same_steps(module, x, "ranges fixed", 2e-2);
  freeze_bn_stats(*module);
  expect_same_steps(module, x, "statistics frozen", 2e-2);
}

TEST(FusedTraining, HoldsInEveryMode) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({4, 3, 12, 12});
  const auto in_mode = [&](const char* name, const std::function<void(GraphModule&)>& set) {
    auto module = prepared_for_training(residual_net());
    training_step(*module, x, false);  // everything has seen data
    set(*module);
    expect_same_steps(module, x, name, 2e-2);
  };
  in_mode("observers off", [](GraphModule& module) { module.apply(disable_observer); });
  in_mode("rounding off", [](GraphModule& module) { module.apply(disable_fake_quant); });
  in_mode("both off", [](GraphModule& module) {
    module.apply(disable_fake_quant);
    module.apply(disable_observer);
  });
  in_mode("statistics frozen", [](GraphModule& module) { freeze_bn_stats(module); });
  in_mode("eval", [](GraphModule& module) { module.train(false); });
}

TEST(FusedTraining, EvalGivesTheBitsOfTheSteps) {
  at::manual_seed(4);
  auto module = prepared_for_training(residual_net());
  const at::Tensor x = at::randn({4, 3, 12, 12});
  training_step(*module, x, true);
  module->train(false);
  module->apply(disable_observer);
  const at::NoGradGuard no_grad;
  const at::Tensor fused = (*module)(x);
  set_fuses_steps(false);
  EXPECT_TRUE((*module)(x).equal(fused));
  set_fuses_steps(true);
}

// The graph keeps the steps: what looks at each value sees each value, and convert what it saw.
TEST(FusedTraining, LeavesTheGraphAsItIs) {
  auto module = prepared_for_training(residual_net());
  const size_t steps = module->graph().size();
  const at::Tensor x = at::randn({4, 3, 12, 12});
  training_step(*module, x, true);
  EXPECT_EQ(module->graph().size(), steps);
  size_t seen = 0;
  module->run_observed({x}, [&](const Node& node, const c10::IValue& value) {
    seen += node.kind() != NodeKind::kOutput && value.isTensor() && value.toTensor().defined() ? 1 : 0;
  });
  EXPECT_EQ(seen, steps - 1);
  EXPECT_NO_THROW(convert_pt2e(module));
}

TEST(FusedTraining, LeavesAloneWhatOthersRead) {
  test::Net net({4, 3, 8, 8});
  net.conv2d("c", 3, 4, false);
  Node* normalized = net.batch_norm("bn", 4);
  net.relu();
  net.call("aten.mul.Tensor", {Arg(net.last), Arg(normalized)});
  auto module = prepared_for_training(net.finish());
  expect_same_steps(module, at::randn({4, 3, 8, 8}), "read twice");
}

// Ranges and scales of weights are those of the steps, step after step; by channel and for the whole weight. To the
// last place but one: libtorch's square root of a tensor is MKL's, which does not round correctly on every CPU.
TEST(FusedTraining, RoundsWeightsInOneCallAsTheStepsDo) {
  at::manual_seed(6);
  const test::LayerKind kind = {"aten.conv2d.default", {4, 4, 7, 7}, {6, 4, 3, 3}, 6, {{"padding", ints({1, 1})}}};
  for (const bool per_channel : {false, true}) {
    for (const bool frozen_statistics : {false, true}) {
      test::Net net(kind.input);
      net.conv(kind.op, "c", kind.weight, kind.out, kind.bias, kind.named);
      net.batch_norm("bn", kind.out);
      test::SimpleQuantizer quantizer(/*qat=*/true, per_channel);
      auto plain = prepare_qat_pt2e(net.finish(), quantizer);
      plain->train(true);
      if (frozen_statistics) freeze_bn_stats(*plain);
      plain->attr("bn.weight").detach()[2].fill_(0.0F);  // taken away from zero where statistics are the batch's
      auto fused = plain->copy();
      fused->train(true);
      for (int i = 0; i < 3; ++i) {
        const at::Tensor x = at::randn(kind.input);
        const TrainingStep a = training_step(*plain, x, false);
        const TrainingStep b = training_step(*fused, x, true);
        const auto wanted = plain->named_buffers();
        for (const auto& buffer : fused->named_buffers()) {
          if (buffer.key().find("weight_fake_quant") == std::string::npos) continue;
          EXPECT_TRUE(at::allclose(buffer.value(), wanted[buffer.key()], /*rtol=*/2.5e-7, /*atol=*/0)) << buffer.key();
        }
        for (size_t k = 0; k < a.gradients.size(); ++k) {
          if (!a.gradients[k].defined()) continue;
          // The bias in front of a BatchNorm has the gradient 0, and noise.
          const double noise = (a.gradients[k] - b.gradients[k]).abs().max().item<double>();
          EXPECT_TRUE(norm_apart(b.gradients[k], a.gradients[k]) < 1e-3 || noise < 1e-3) << k;
        }
        for (GraphModule* module : {plain.get(), fused.get()}) {
          at::manual_seed(i);
          const at::NoGradGuard no_grad;
          module->attr("c.weight").add_(at::randn(kind.weight), 0.05);
        }
      }
    }
  }
}

TEST(FusedTraining, SaysWhichWeightIsNoNumber) {
  test::Net net({4, 3, 8, 8});
  net.conv2d("c", 3, 4, false);
  net.batch_norm("bn", 4);
  net.relu();
  auto module = prepared_for_training(net.finish());
  module->attr("c.weight").detach()[1][0][0][0].fill_(std::nanf(""));
  EXPECT_THROW((*module)(at::randn({4, 3, 8, 8})), Error);
}

// Numbers beyond 1e30 count for no range: where all are such, nothing is rounded.
TEST(FusedTraining, PassesWhatCountsForNoRange) {
  test::Net net({2, 3, 8, 8});
  net.conv2d("c", 3, 4, false);
  net.relu();
  auto module = prepared_for_training(net.finish());
  module->attr("c.weight").detach().fill_(1.0F);
  EXPECT_EQ(fused_groups(*module), 1);
  const at::Tensor x = at::full({2, 3, 8, 8}, 1e32F);
  const TrainingStep plain = training_step(*module->copy(), x, false);
  const TrainingStep fused = training_step(*module->copy(), x, true);
  EXPECT_GT(plain.value.min().item<float>(), 1e31F);
  EXPECT_TRUE(fused.value.equal(plain.value));
  EXPECT_TRUE(fused.gradients[0].equal(plain.gradients[0]));
}

TEST(FusedTraining, StillSaysWhereNaNCameIn) {
  auto module = prepared_for_training(residual_net());
  at::Tensor x = at::randn({4, 3, 12, 12});
  x[2][1][3][3] = std::nanf("");
  EXPECT_THROW((*module)(x), Error);
}

}  // namespace
}  // namespace octet
