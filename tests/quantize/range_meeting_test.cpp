// What observers of several processes find of the parts of a batch: what one finds of the whole.
#include "octet/quantize/range_meeting.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <barrier>
#include <limits>
#include <thread>

#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/observers.h"

namespace octet {
namespace {

// Two threads as two processes.
class TwoRanks {
 public:
  // On each thread, with its rank.
  void run(const std::function<void(int rank)>& work) {
    const RangeMeeting meeting(
        [&](const at::Tensor& own) { gather(own, at::maximum); },
        [&](const at::Tensor& own) { gather(own, [](const auto& a, const auto& b) { return a + b; }); });
    std::thread other([&] { begin(1, work); });
    begin(0, work);
    other.join();
  }

 private:
  using Both = std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>;

  static void begin(int rank, const std::function<void(int rank)>& work) {
    own_rank = rank;
    work(rank);
  }

  void gather(const at::Tensor& own, const Both& both) {
    told_[own_rank] = own.clone();
    everybody_.arrive_and_wait();
    const at::Tensor result = both(told_[0], told_[1]);
    everybody_.arrive_and_wait();
    own.copy_(result);
  }

  static thread_local int own_rank;
  at::Tensor told_[2];
  std::barrier<> everybody_{2};
};

thread_local int TwoRanks::own_rank = 0;

using MakeObserver = std::function<std::shared_ptr<RangeObserver>()>;

// Observers of both ranks against one that sees whole batches, behind each of them.
void expect_as_alone(const MakeObserver& make, const std::vector<at::Tensor>& batches) {
  const auto alone = make();
  const std::shared_ptr<RangeObserver> ranks[] = {make(), make()};
  for (const at::Tensor& batch : batches) {
    alone->forward(batch);
    TwoRanks().run([&](int rank) { ranks[rank]->forward(batch.chunk(2)[static_cast<size_t>(rank)]); });
    for (const auto& each : ranks) {
      EXPECT_TRUE(at::equal(each->min_val, alone->min_val)) << each->min_val << " for " << alone->min_val;
      EXPECT_TRUE(at::equal(each->max_val, alone->max_val)) << each->max_val << " for " << alone->max_val;
      const auto* counts = dynamic_cast<const HistogramObserver*>(each.get());
      if (counts == nullptr) continue;
      EXPECT_TRUE(at::equal(counts->histogram, dynamic_cast<const HistogramObserver&>(*alone).histogram));
    }
  }
}

std::vector<at::Tensor> random_batches() {
  at::manual_seed(4);
  std::vector<at::Tensor> batches;
  for (int i = 0; i < 4; ++i) batches.push_back(at::randn({8, 3, 5}) * (1 + i % 3));
  return batches;
}

ObserverArgs of_channels() {
  ObserverArgs args;
  args.qscheme = at::kPerChannelSymmetric;
  args.ch_axis = 1;
  return args;
}

TEST(RangeMeeting, EveryKindOfObserverFindsWhatOneFindsAlone) {
  const std::vector<MakeObserver> kinds = {
      [] { return std::make_shared<MinMaxObserver>(ObserverArgs{}); },
      [] { return std::make_shared<MovingAverageMinMaxObserver>(ObserverArgs{}, 0.1); },
      [] { return std::make_shared<HistogramObserver>(ObserverArgs{}, kDefaultEps, 64); },
      [] { return std::make_shared<PerChannelMinMaxObserver>(of_channels()); },
      [] { return std::make_shared<MovingAveragePerChannelMinMaxObserver>(of_channels(), 0.1); }};
  for (const MakeObserver& make : kinds) {
    SCOPED_TRACE(make()->type_name());
    expect_as_alone(make, random_batches());
  }
}

TEST(RangeMeeting, APartMayHaveNothingThatCounts) {
  const float infinity = std::numeric_limits<float>::infinity();
  const at::Tensor nothing = at::full({4, 3, 5}, infinity), numbers = random_batches()[0].slice(0, 0, 4);
  const std::vector<at::Tensor> batches = {at::cat({nothing, nothing}), at::cat({numbers, nothing}),
                                           at::cat({nothing, 3 * numbers}), at::cat({nothing, nothing})};
  expect_as_alone([] { return std::make_shared<MinMaxObserver>(ObserverArgs{}); }, batches);
  expect_as_alone([] { return std::make_shared<HistogramObserver>(ObserverArgs{}, kDefaultEps, 64); }, batches);
}

// Whether -1e4 is a sentinel in front of a maximum is for the whole batch to say.
TEST(RangeMeeting, SentinelsAreThoseOfTheWholeBatch) {
  const at::Tensor padded = at::tensor({1.0F, -1e4F, 0.5F, -2.0F}), sentinels = at::full({4}, -1e4F);
  const at::Tensor wide = at::tensor({500.0F, -700.0F, 3.0F, 2.0F}), near = at::tensor({1.0F, 2.0F, -3.0F, 0.5F});
  for (const auto& batch : {at::cat({padded, wide}), at::cat({padded, near}), at::cat({sentinels, near})}) {
    expect_as_alone(
        [] {
          auto observer = std::make_shared<MinMaxObserver>(ObserverArgs{});
          observer->reading = Reading::kMaximum;
          return observer;
        },
        {batch});
  }
}

// Where silu's readers flatten depends on the greatest element, which one part alone may hold.
TEST(RangeMeeting, WhatReadersFlattenIsSoForTheWholeBatch) {
  const at::Tensor wide = at::linspace(-12, 40, 64), near = at::linspace(-9, 2, 64);
  const std::vector<MakeObserver> kinds = {
      [] { return std::make_shared<MinMaxObserver>(ObserverArgs{}); },
      [] { return std::make_shared<HistogramObserver>(ObserverArgs{}, kDefaultEps, 64); }};
  for (const Reading reading : {Reading::kSilu, Reading::kRelu6, Reading::kSigmoid}) {
    for (const MakeObserver& make : kinds) {
      const auto of_reading = [&] {
        auto observer = make();
        observer->reading = reading;
        return observer;
      };
      expect_as_alone(of_reading, {at::cat({near, wide}), at::cat({wide, near})});
    }
  }
  const auto by_range = std::make_shared<MinMaxObserver>(ObserverArgs{});
  by_range->reading = Reading::kSilu;
  const auto by_elements = std::make_shared<MinMaxObserver>(ObserverArgs{});
  by_elements->reading = Reading::kSilu;
  by_elements->forward(at::cat({near, wide}));
  TwoRanks().run([&](int rank) {
    const at::Tensor part = rank == 0 ? near : wide;
    const auto own = rank == 0 ? by_range : std::make_shared<MinMaxObserver>(ObserverArgs{});
    own->reading = Reading::kSilu;
    EXPECT_TRUE(own->forward_range(part.min(), part.max()));
  });
  EXPECT_TRUE(at::equal(by_range->min_val, by_elements->min_val)) << by_range->min_val << by_elements->min_val;
  EXPECT_GT(by_range->min_val.item<float>(), -9.0F);
}

}  // namespace
}  // namespace octet
