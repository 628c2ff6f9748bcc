#include "octet/kernels/pending_gradient.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "octet/kernels/convolution.h"
#include "octet/kernels/normalize_round.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr auto kLast = at::MemoryFormat::ChannelsLast;

struct Layer {
  const char* name;
  std::vector<int64_t> input, weight;
  ConvGeometry geometry;
  bool is_awaited = true;
};

ConvGeometry square(int64_t stride, int64_t padding, int64_t groups = 1, int64_t dilation = 1) {
  return {{stride, stride}, {padding, padding}, {dilation, dilation}, groups};
}

std::vector<Layer> layers() {
  return {{"1x1", {2, 24, 40, 40}, {40, 24, 1, 1}, square(1, 0)},
          {"1x1 to fewer channels", {2, 96, 40, 40}, {17, 96, 1, 1}, square(1, 0)},
          {"1x1 of many channels", {2, 144, 33, 37}, {96, 144, 1, 1}, square(1, 0)},
          {"1x1 of rows that fill no block", {1, 19, 71, 67}, {35, 19, 1, 1}, square(1, 0)},
          {"depthwise", {2, 56, 40, 40}, {56, 1, 3, 3}, square(1, 1, 56)},
          {"depthwise of three images, one column of pixels short", {3, 67, 35, 31}, {67, 1, 3, 3}, square(1, 0, 67)},
          {"depthwise with a stride", {3, 48, 61, 64}, {48, 1, 3, 3}, square(2, 1, 48)},
          {"depthwise 5x5 with a stride", {3, 20, 62, 61}, {20, 1, 5, 5}, square(2, 2, 20)},
          {"depthwise, dilated", {2, 64, 40, 40}, {64, 1, 3, 3}, square(1, 2, 64, 2)},
          {"depthwise with a stride beyond its filter", {2, 128, 99, 99}, {128, 1, 2, 2}, square(3, 0, 128)},
          {"1x1 with a stride", {2, 24, 80, 80}, {40, 24, 1, 1}, square(2, 0), false},
          {"1x1 of few pixels", {2, 24, 9, 9}, {40, 24, 1, 1}, square(1, 0), false},
          {"3x3", {2, 16, 40, 40}, {16, 16, 3, 3}, square(1, 1), false}};
}

struct Step {
  at::Tensor x, weight, y;
  c10::intrusive_ptr<PendingGradient> pending;

  Step(const Layer& layer, bool waits, const at::Tensor& trained = {})
      : x(at::randn(layer.input).contiguous(kLast).requires_grad_(true)),
        weight(at::randn(layer.weight).requires_grad_(true)),
        pending(waits ? c10::make_intrusive<PendingGradient>() : nullptr) {
    const at::Tensor product = conv2d(x, weight, {}, layer.geometry, trained, {}, pending);
    const ChooseGrid choose{[](float, float, const auto&) { return RoundingGrid{0.02F}; }};
    y = normalize_round(product, {}, {0, 6}, choose, /*gives_up_x=*/true, pending);
  }

  std::vector<at::Tensor> gradients(std::optional<bool> keeps_graph = std::nullopt) const {
    return torch::autograd::grad({y.square().sum()}, {x, weight}, {}, keeps_graph);
  }
};

Step step_of(const Layer& layer, bool waits, const at::Tensor& trained = {}) {
  at::manual_seed(3);
  return {layer, waits, trained};
}

void expect_equal(const std::vector<at::Tensor>& got, const std::vector<at::Tensor>& wanted, const std::string& where) {
  ASSERT_EQ(got.size(), wanted.size()) << where;
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i].equal(wanted[i])) << where << ", gradient " << i;
}

TEST(PendingGradient, GivesTheBitsOfTheGradientInMemory) {
  const int before = at::get_num_threads();
  for (const Layer& layer : layers()) {
    at::set_num_threads(1);
    const std::vector<at::Tensor> wanted = step_of(layer, false).gradients();
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      const Step step = step_of(layer, true);
      EXPECT_EQ(step.pending->is_awaited, layer.is_awaited) << layer.name;
      expect_equal(step.gradients(), wanted, octet::str(layer.name, ", threads ", threads));
      EXPECT_FALSE(step.pending->formula.has_value()) << layer.name;
    }
  }
  at::set_num_threads(before);
}

TEST(PendingGradient, IsComputedWhereOneGradientAloneIsAskedFor) {
  for (const Layer& layer : {layers()[0], layers()[4]}) {
    const std::vector<at::Tensor> wanted = step_of(layer, false).gradients();
    const Step of_weight = step_of(layer, true);
    expect_equal(torch::autograd::grad({of_weight.y.square().sum()}, {of_weight.weight}), {wanted[1]}, layer.name);
    const Step of_x = step_of(layer, true);
    expect_equal(torch::autograd::grad({of_x.y.square().sum()}, {of_x.x}), {wanted[0]}, layer.name);
  }
}

TEST(PendingGradient, LeavesAGraphThatIsKeptAsItIs) {
  for (const Layer& layer : {layers()[0], layers()[4]}) {
    const Step step = step_of(layer, true);
    const std::vector<at::Tensor> first = step.gradients(true);
    expect_equal(step.gradients(true), first, layer.name);
    expect_equal(step.gradients(), first, layer.name);
  }
}

TEST(PendingGradient, IsNotAwaitedByAFewTrainedChannels) {
  const Layer layer = layers()[0];
  const at::Tensor trained = at::arange(3, 9, at::kLong);
  const Step step = step_of(layer, true, trained);
  EXPECT_FALSE(step.pending->is_awaited);
  expect_equal(step.gradients(), step_of(layer, false, trained).gradients(), layer.name);
}

}  // namespace
}  // namespace octet
