#include "octet/quantize/reading.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/linspace.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "octet/quantize/observers.h"
#include "octet/quantize/sqnr.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

constexpr float kInfinite = std::numeric_limits<float>::infinity();
constexpr float kLeastFloat = std::numeric_limits<float>::lowest();

std::pair<float, float> range_of(const at::Tensor& x, Reading reading) {
  const SeenRange seen = seen_range("test", x, reading);
  return {seen.low.item<float>(), seen.high.item<float>()};
}

TEST(Reading, InfinitiesCountForNobody) {
  for (const float far : {kInfinite, -kInfinite, kLeastFloat}) {
    for (const Reading reading : {Reading::kPlain, Reading::kMaximum}) {
      EXPECT_EQ(range_of(at::tensor({-1.0F, far, 2.0F}), reading), std::make_pair(-1.0F, 2.0F));
    }
    EXPECT_TRUE(seen_range("test", at::tensor({1.0F, far}), Reading::kPlain).left_out);
    EXPECT_EQ(seen_range("test", at::tensor({far, far}), Reading::kPlain).elements.numel(), 0);
  }
  EXPECT_FALSE(seen_range("test", at::tensor({1.0F, -1e9F}), Reading::kPlain).left_out);
}

TEST(Reading, OnlyFarSentinelsInFrontOfAMaximumAreLeftOut) {
  EXPECT_EQ(range_of(at::tensor({-3.0F, 5.0F, -1e4F, -1e9F}), Reading::kMaximum), std::make_pair(-3.0F, 5.0F));
  EXPECT_EQ(range_of(at::tensor({-3.0F, 5.0F, -1e4F}), Reading::kPlain), std::make_pair(-1e4F, 5.0F));
  const at::Tensor samples = at::linspace(-32768, 32767, 100);  // of sound, as a microphone gives them
  EXPECT_EQ(range_of(samples, Reading::kMaximum), std::make_pair(-32768.0F, 32767.0F));
}

TEST(Reading, ASoftmaxSeesWhatIsFarBelowItsRowAsJustOutOfReach) {
  const at::Tensor x = at::tensor({0.0F, 1.0F, -1e9F, -kInfinite, -30.0F, -31.0F, -1e4F, -30.5F}).view({2, 4});
  const float distance = 8.0F + std::log(4.0F);
  EXPECT_EQ(range_of(x, Reading::kSoftmax), std::make_pair(-30.0F - distance, 1.0F));
  EXPECT_EQ(range_of(x, Reading::kSummed), std::make_pair(-30.0F - distance - 32.0F, 1.0F));
  EXPECT_EQ(range_of(-x, Reading::kTakenOff), std::make_pair(-1.0F, 30.0F + distance + 32.0F));
  const at::Tensor wide = at::linspace(-60, 0, 8);
  EXPECT_EQ(range_of(wide, Reading::kSoftmax), std::make_pair(-60.0F, 0.0F)) << "all of it counts";
}

TEST(Reading, FollowsWhatReadsTheValue) {
  const auto reading = [](const std::function<Node*(test::Net&)>& build) {
    test::Net net({2, 4, 6, 6});
    Node* value = net.relu();
    net.last = build(net);
    net.finish();
    return reading_of(*value);
  };
  const auto softmax = [](test::Net& net, Node* x, int64_t dim) {
    return net.call("aten.softmax.int", {Arg(x), Arg(dim)});
  };
  const auto pool = [](test::Net& net, Node* x) {
    return net.call("aten.max_pool2d.default", {Arg(x), test::ints({2, 2})});
  };
  EXPECT_EQ(reading([&](test::Net& n) { return softmax(n, n.last, -1); }), Reading::kSoftmax);
  EXPECT_EQ(reading([&](test::Net& n) { return softmax(n, n.last, 1); }), Reading::kPlain);
  EXPECT_EQ(reading([&](test::Net& n) { return pool(n, n.last); }), Reading::kMaximum);
  EXPECT_EQ(reading([&](test::Net& n) {
              return pool(n, n.call("aten.constant_pad_nd.default", {Arg(n.last), test::ints({1, 1}), Arg(-1e9)}));
            }),
            Reading::kMaximum);
  EXPECT_EQ(reading([&](test::Net& n) {
              return softmax(n, n.call("aten.view.default", {Arg(n.last), test::ints({8, 6, 6})}), 2);
            }),
            Reading::kSoftmax);
  EXPECT_EQ(reading([&](test::Net& n) {
              return softmax(n, n.call("aten.view.default", {Arg(n.last), test::ints({8, 36})}), 1);
            }),
            Reading::kPlain)
      << "other rows";
  EXPECT_EQ(reading([&](test::Net& n) {
              Node* mask = n.buffer("mask", at::zeros({6, 6}));
              return softmax(n, n.call("aten.add.Tensor", {Arg(n.last), Arg(mask)}), 3);
            }),
            Reading::kSummed);
  EXPECT_EQ(
      reading([&](test::Net& n) {
        Node* twice = n.call("aten.cat.default", {Arg(std::vector<Arg>{Arg(n.last), Arg(n.last)}), Arg(int64_t{1})});
        return softmax(n, n.call("aten.transpose.int", {Arg(twice), Arg(int64_t{0}), Arg(int64_t{1})}), 3);
      }),
      Reading::kSoftmax)
      << "the same rows in other places";
  EXPECT_EQ(reading([&](test::Net& n) {
              return softmax(n, n.call("aten.transpose.int", {Arg(n.last), Arg(int64_t{2}), Arg(int64_t{3})}), 3);
            }),
            Reading::kPlain)
      << "columns";
  EXPECT_EQ(reading([&](test::Net& n) {
              return softmax(n, n.call("aten.constant_pad_nd.default", {Arg(n.last), test::ints({0, 1}), Arg(0.0)}), 3);
            }),
            Reading::kSummed)
      << "longer rows, whose greatest may be what was added";
  for (const bool is_mask : {false, true}) {
    EXPECT_EQ(reading([&](test::Net& n) {
                Node* other = n.buffer("other", at::zeros({2, 4, 6, 6}));
                const std::vector<Arg> args = {Arg(is_mask ? other : n.last), Arg(is_mask ? n.last : other)};
                return softmax(n, n.call("aten.sub.Tensor", args), 3);
              }),
              is_mask ? Reading::kTakenOff : Reading::kSummed);
  }
  EXPECT_EQ(reading([&](test::Net& n) {
              Node* value = n.last;
              Node* shares = softmax(n, value, -1);
              return n.call("aten.add.Tensor", {Arg(shares), Arg(value)});
            }),
            Reading::kPlain)
      << "another reader needs it whole";
}

// Where each of twenty values is joined with all of the twenty before, there are more ways on than can be walked.
TEST(Reading, LooksAtSoManyReadersAlone) {
  test::Net n({1, 4});
  Node* first = n.last;
  std::vector<Arg> layer = {Arg(first)};
  for (int depth = 0; depth < 7; ++depth) {
    std::vector<Arg> next;
    for (int i = 0; i < 20; ++i) {
      Node* joined = n.call("aten.cat.default", {Arg(layer), Arg(0)});
      joined->set_meta(TensorMeta{at::kFloat, {1, 4}});
      next.emplace_back(joined);
    }
    layer = next;
  }
  for (const Arg& last : layer) n.call("aten.softmax.int", {last, Arg(-1)});
  EXPECT_EQ(reading_of(*first), Reading::kPlain);
}

TEST(Reading, ObserversGoByItAndKeepIt) {
  MinMaxObserver observer(ObserverArgs{});
  observer.reading = Reading::kSoftmax;
  const auto copy = std::dynamic_pointer_cast<MinMaxObserver>(observer.copy());
  copy->forward(at::tensor({0.0F, -1e9F}));
  EXPECT_FLOAT_EQ(copy->min_val.item<float>(), -8.0F - std::log(2.0F));
  for (const Reading reading :
       {Reading::kPlain, Reading::kMaximum, Reading::kSoftmax, Reading::kSummed, Reading::kTakenOff, Reading::kRelu,
        Reading::kRelu6, Reading::kHardswish, Reading::kSilu, Reading::kSigmoid, Reading::kTanh}) {
    EXPECT_EQ(reading_from(text(reading)), reading);
  }
}

TEST(Sqnr, InfinitiesAreCountedApart) {
  const at::Tensor x = at::tensor({1.0F, -kInfinite, 2.0F});
  EXPECT_NEAR(compute_error(x, at::tensor({1.0F, -5.0F, 2.1F})), 20 * std::log10(std::sqrt(5.0) / 0.1), 1e-3);
  EXPECT_EQ(count_infinities(x), 1);
  EXPECT_EQ(compute_error(x, at::tensor({1.0F, -5.0F, 2.0F})), std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace octet
