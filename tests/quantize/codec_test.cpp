#include "octet/quantize/codec.h"

#include <gtest/gtest.h>
#include <torch/serialize/archive.h>

#include <sstream>

#include "octet/quantize/factories.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/error.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

std::shared_ptr<CallableModule> made_from(const JsonCursor& config) {
  Budget budget("file", 0);
  return callable_from_config(config, budget);
}

std::shared_ptr<CallableModule> round_trip(const CallableModule& module, const NameOfModule& name_of = nullptr) {
  const nlohmann::json config = nlohmann::json::parse(callable_config(module, name_of).dump());
  auto made = made_from(JsonCursor(config, "test"));
  load_state(*made, named_state(module), "test");
  return made;
}

ObserverArgs per_channel() {
  ObserverArgs args;
  args.qscheme = at::kPerChannelSymmetric;
  args.ch_axis = 1;
  args.quant_min = -127;
  args.quant_max = 127;
  return args;
}

TEST(Codec, ObserversComeBackEqual) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({3, 5});
  const std::vector<std::pair<ObserverFactory, ObserverArgs>> all = {
      {min_max_observer(0.125), ObserverArgs{}},
      {moving_average_min_max_observer(0.3), ObserverArgs{}},
      {per_channel_min_max_observer(), per_channel()},
      {moving_average_per_channel_min_max_observer(0.7), per_channel()},
      {histogram_observer(1e-4, 64), ObserverArgs{}},
      {placeholder_observer(), ObserverArgs{}},
      {noop_observer(), ObserverArgs{}},
      {fake_quantize(histogram_observer()), ObserverArgs{}},
      {fused_moving_avg_fake_quantize(0.5, 1.0 / 4096), per_channel()},
      {kernel_grid_fake_quantize(moving_average_min_max_observer(0.5)), ObserverArgs{}},
  };
  for (const auto& [factory, args] : all) {
    const auto original = factory.make(args);
    original->forward(x);
    if (auto* fake = dynamic_cast<FakeQuantizeBase*>(original.get())) fake->enable_observer(false);
    const auto twin = std::dynamic_pointer_cast<ObserverBase>(round_trip(*original));
    EXPECT_EQ(callable_config(*twin), callable_config(*original)) << factory.name;
    EXPECT_EQ(twin->type_name(), original->type_name());
    EXPECT_EQ(twin->custom_range, original->custom_range);
    const auto theirs = named_state(*twin);
    for (const auto& [name, value] : named_state(*original)) EXPECT_TRUE(at::equal(value, theirs.at(name))) << name;
    EXPECT_TRUE(at::equal(twin->forward(x * 3), original->forward(x * 3))) << factory.name;
    EXPECT_EQ(callable_config(*twin), callable_config(*original));
  }
}

TEST(Codec, FixedParametersComeFromTheState) {
  const FixedQParamsFakeQuantize fake(ObserverArgs{}, 1.0 / 256, -128);
  const auto twin = std::dynamic_pointer_cast<ObserverBase>(round_trip(fake));
  EXPECT_EQ(twin->calculate_qparams().scale.item<float>(), 1.0F / 256);
  EXPECT_EQ(twin->calculate_qparams().zero_point.item<int64_t>(), -128);
}

TEST(Codec, DerivedObserversFindTheirSourcesAgain) {
  GraphModule module;
  auto input = std::make_shared<MinMaxObserver>(ObserverArgs{});
  auto weight = std::make_shared<MinMaxObserver>(ObserverArgs{});
  ObserverArgs args;
  args.dtype = at::kInt;
  auto bias = std::make_shared<DerivedObserver>(args, std::vector<std::shared_ptr<ObserverBase>>{input, weight},
                                                bias_derivation());
  module.set_callable("input", input);
  module.set_callable("weight", weight);
  module.set_callable("bias", bias);
  EXPECT_THROW(callable_config(*bias), Error);  // nobody to name its sources
  const nlohmann::json config = callable_config(*bias, names_in(module));
  EXPECT_EQ(config["sources"], (nlohmann::json{"input", "weight"}));
  const JsonCursor cursor(config, "test");
  const auto twin = made_from(cursor);
  resolve_sources(*twin, cursor, finder_in(module));
  EXPECT_EQ(std::dynamic_pointer_cast<DerivedObserver>(twin)->sources()[1], weight);
  EXPECT_THROW(resolve_sources(*twin, cursor, [](const std::string&) { return nullptr; }), Error);
}

TEST(Codec, BrokenConfigurationsAreNamed) {
  const auto make = [](const nlohmann::json& config) { return made_from(JsonCursor(config, "file")); };
  nlohmann::json good = callable_config(MinMaxObserver(ObserverArgs{}));
  EXPECT_EQ(callable_config(*make(good)), good);
  for (const auto& [key, value] : std::vector<std::pair<std::string, nlohmann::json>>{{"type", "Observer"},
                                                                                      {"dtype", "int7"},
                                                                                      {"qscheme", "per_planet"},
                                                                                      {"qscheme", "per_channel_affine"},
                                                                                      {"eps", -1.0},
                                                                                      {"eps", 1e105},
                                                                                      {"eps", 1e-60},
                                                                                      {"eps", "x"},
                                                                                      {"ch_axis", nullptr}}) {
    nlohmann::json broken = good;
    broken[key] = value;
    EXPECT_THROW(make(broken), Error) << key;
  }
  nlohmann::json huge = callable_config(HistogramObserver(ObserverArgs{}));
  for (const int64_t bins : {int64_t{1} << 60, int64_t{1} << 26}) {
    huge["bins"] = bins;
    EXPECT_TRUE(test::fails_with([&] { make(huge); }, "[file] is refused: its histograms would take")) << bins;
  }
}

TEST(Codec, AConvBnIsWhatItsOperatorIs) {
  const nlohmann::json linear = {{"type", "QatConvBn"},
                                 {"op", "aten.linear.default"},
                                 {"eps", 1e-5},
                                 {"momentum", 0.1},
                                 {"literals", {nullptr, nullptr, nullptr}}};
  nlohmann::json other = linear;
  other["op"] = "aten.addmm.default";
  EXPECT_THROW(made_from(JsonCursor(other, "file")), Error);
  const auto made = std::dynamic_pointer_cast<QatConvBn>(made_from(JsonCursor(linear, "file")));
  ASSERT_TRUE(made && made->info().is_linear);
  const at::Tensor of_channels = at::ones({3});
  const auto call = [&](const at::Tensor& weight) {
    return made->call({at::ones({2, 4}), weight, {}, of_channels, of_channels, of_channels, of_channels});
  };
  EXPECT_EQ(call(at::ones({3, 4})).sizes(), at::IntArrayRef({2, 3}));
  EXPECT_TRUE(test::fails_with([&] { call(at::ones({})); }, "[conv-bn] weight dimensions: expected 2 or more, got 0"));
}

TEST(Codec, AWeightOfAConvBnFitsItsGroups) {
  const auto scale = [](const ConvInfo& info) { scale_weight(at::ones({3, 2, 1}), at::ones({4}), info); };
  EXPECT_TRUE(test::fails_with([&] { scale({.is_transposed = true, .groups = 2}); },
                               "[conv-bn] weight rows: expected a multiple of 2 groups, got 3"));
  EXPECT_TRUE(test::fails_with([&] { scale({.is_transposed = true, .groups = 0}); },
                               "[conv-bn] groups: expected 1 or more, got 0"));
}

TEST(Codec, StateMustFit) {
  MinMaxObserver observer{ObserverArgs{}};
  auto state = named_state(observer);
  state["min_val"] = at::zeros({}, at::kDouble);
  EXPECT_THROW(load_state(observer, state, "file"), Error);
  state.erase("min_val");
  EXPECT_THROW(load_state(observer, state, "file"), Error);
  state = named_state(observer);
  state["other"] = at::zeros({});
  EXPECT_THROW(load_state(observer, state, "file"), Error);
}

TEST(Codec, LibtorchsOwnSerializationResizesPerChannelRanges) {
  at::manual_seed(2);
  auto original = std::make_shared<FusedMovingAvgObsFakeQuantize>(per_channel());
  const at::Tensor x = at::randn({3, 5});
  original->forward(x);
  std::stringstream file;
  torch::serialize::OutputArchive out;
  original->save(out);
  out.save_to(file);
  auto twin = std::make_shared<FusedMovingAvgObsFakeQuantize>(per_channel());
  torch::serialize::InputArchive in;
  in.load_from(file);
  twin->load(in);
  EXPECT_TRUE(at::equal(twin->scale, original->scale));
  EXPECT_TRUE(at::equal(twin->forward(x), original->forward(x)));
}

}  // namespace
}  // namespace octet
