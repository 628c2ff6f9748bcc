#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sharing.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using targets::QuantizerConfig;
using test::GraphBuilder;
using Ints = std::vector<int64_t>;

targets::Override leave(const std::string& module, const std::string& op = "") {
  targets::Override choice;
  choice.module = module;
  choice.op = op;
  choice.quantize = false;
  return choice;
}

targets::Override observe(const std::string& module, const std::string& activation, const std::string& weight = "") {
  targets::Override choice;
  choice.module = module;
  choice.activation_observer = activation;
  choice.weight_observer = weight;
  return choice;
}

NeutronOptions options_of(std::vector<targets::Override> overrides, bool is_qat = false) {
  NeutronOptions options;
  options.overrides = std::move(overrides);
  options.is_qat = is_qat;
  return options;
}

bool is_float(const Node* node) { return !is_annotated(*node); }
const AnySpec* output_spec(const Node* node) {
  const QuantizationAnnotation* note = annotation(*node);
  return note != nullptr && note->output_qspec ? &*note->output_qspec : nullptr;
}
std::string observer_of(const AnySpec& spec) { return std::get<QuantizationSpec>(spec).observer_or_fake_quant.name; }

// conv a - relu - conv b - relu - pool - linear head.
struct Chain {
  GraphBuilder g;
  Node* x = g.input({2, 3, 8, 8});
  Node* a = g.conv2d("features.0.0", x, 3, 4);
  Node* relu_a = g.call("aten.relu.default", {a});
  Node* b = g.conv2d("features.1.0", relu_a, 4, 4);
  Node* relu_b = g.call("aten.relu.default", {b});
  Node* pool = g.call("aten.max_pool2d.default", {relu_b, Ints{2, 2}});
  Node* flat = g.call("aten.flatten.using_ints", {pool, int64_t{1}});
  Node* head = g.linear("head", flat, 64, 5);
  std::shared_ptr<GraphModule> model = g.finish({head});

  void annotate(const NeutronOptions& options) { NeutronQuantizer(options).annotate(*model); }
};

std::shared_ptr<GraphModule> quantized(const std::shared_ptr<GraphModule>& model, const NeutronOptions& options,
                                       const std::vector<at::Tensor>& inputs) {
  NeutronQuantizer quantizer(options);
  return calibrate_and_quantize(model->copy(), {inputs}, quantizer);
}

const QuantRow& row_of(const std::vector<QuantRow>& rows, const std::string& op, int which = 0) {
  for (const QuantRow& row : rows) {
    if (row.op == op && which-- == 0) return row;
  }
  throw Error(op, "has no row");
}

TEST(Overrides, PatternsAreGlobs) {
  const std::vector<std::tuple<const char*, const char*, bool>> cases = {
      {"features.0.*", "features.0.0", true},
      {"features.0.*", "features.0", false},
      {"*", "", true},
      {"*.conv?", "a.b.conv1", true},
      {"*.conv?", "a.b.conv12", false},
      {"a*b*c", "axxbyyc", true},
      {"a*b*c", "axxbyy", false},
      {"head", "head", true},
      {"head", "heads", false},
      {"**", "x", true},
      {"?", "", false},
      {"*a", "ba.ca", true},
  };
  for (const auto& [pattern, text, wanted] : cases) {
    EXPECT_EQ(targets::glob_matches(pattern, text), wanted) << pattern << " on " << text;
  }
}

TEST(Overrides, SelectByModuleNameOrOperator) {
  Chain c;
  EXPECT_TRUE(targets::selects(leave("features.0.*"), *c.a));
  EXPECT_FALSE(targets::selects(leave("features.0.*"), *c.b));
  EXPECT_FALSE(targets::selects(leave("features.0.*"), *c.relu_a));  // it has no weights, and nobody says where it is
  EXPECT_TRUE(targets::selects(leave("conv2d_1"), *c.b));
  c.relu_a->notes()[kModulePathNote] = "features.0.1";
  EXPECT_TRUE(targets::selects(leave("features.0.*"), *c.relu_a));
  for (const char* op : {"aten.conv2d.default", "aten.conv2d", "conv2d.default", "conv2d", "conv2d*", "aten.*"}) {
    EXPECT_TRUE(targets::selects(leave("", op), *c.a)) << op;
  }
  EXPECT_FALSE(targets::selects(leave("", "conv2"), *c.a));
  EXPECT_FALSE(targets::selects(leave("head", "conv2d"), *c.head));
  EXPECT_TRUE(targets::selects(leave("head", "linear"), *c.head));
  EXPECT_TRUE(targets::selects(leave("", "input"), *c.x));
  EXPECT_FALSE(targets::selects(leave("head"), *c.model->graph().output()));
}

TEST(Overrides, NamesComeThroughThePasses) {
  for (const bool is_qat : {false, true}) {
    GraphBuilder g;
    Node* x = g.input({2, 3, 16});
    Node* conv = g.call("aten.conv1d.default", {x, g.parameter("features.0.0.weight", {4, 3, 3})});
    Node* norm = g.batch_norm("features.0.1", conv, 4);
    Node* flat = g.call("aten.flatten.using_ints", {g.call("aten.relu.default", {norm}), int64_t{1}});
    const auto model = g.finish({g.linear("head", flat, 56, 5)});
    NeutronQuantizer quantizer(options_of({leave("features.0.*"), leave("head")}, is_qat));
    const auto explained = quantizer.explain(*model);
    ASSERT_EQ(explained.plan.overrides.size(), 2u);
    for (const targets::QuantizationPlan::Override& outcome : explained.plan.overrides) {
      EXPECT_FALSE(outcome.matched.empty());
      EXPECT_TRUE(outcome.in_effect);
    }
    for (const Node* node : explained.model->graph().nodes()) {
      if (node->is_call("aten.conv2d.default") || node->is_call("aten.linear.default")) {
        EXPECT_TRUE(is_float(node)) << node->name();
      }
    }
  }
}

TEST(LeaveFloat, IsFloatAndItsNeighboursAreAsBesideAnUnknownOperator) {
  for (const bool is_qat : {false, true}) {
    Chain c;
    c.annotate(options_of({leave("features.1.0")}, is_qat));
    EXPECT_TRUE(is_float(c.b));
    ASSERT_NE(output_spec(c.relu_a), nullptr);  // conv and relu stay one
    EXPECT_EQ(output_spec(c.a), nullptr);
    ASSERT_NE(annotation(*c.relu_b)->input(c.b), nullptr);  // the relu behind is an operator of its own
    EXPECT_TRUE(std::holds_alternative<QuantizationSpec>(*annotation(*c.relu_b)->input(c.b)));
    EXPECT_NE(output_spec(c.relu_b), nullptr);
    EXPECT_FALSE(is_float(c.pool));
  }
}

TEST(LeaveFloat, LendsNothing) {
  Chain c;
  const auto explained = NeutronQuantizer(options_of({leave("", "conv2d"), leave("", "relu")})).explain(*c.model);
  std::map<std::string, std::string> reasons;
  for (const auto& entry : explained.plan.entries) reasons[entry.node->name()] = entry.reason;
  EXPECT_EQ(reasons.at("conv2d"), "left in float by overrides[0]");
  EXPECT_EQ(reasons.at("relu"), "left in float by overrides[1]");
  EXPECT_EQ(reasons.at("max_pool2d"), "would share the grid of 'relu_1', which has none");
  EXPECT_EQ(reasons.at("flatten"), "would share the grid of 'max_pool2d', which has none");
  EXPECT_EQ(reasons.at("linear"), "");
  EXPECT_EQ(reasons.at("x1"), "");
  EXPECT_FALSE(is_float(explained.model->graph().find("linear")));
  EXPECT_EQ(annotation(*c.head), nullptr) << "the model itself stays as it is";
}

TEST(LeaveFloat, TheConvertedLayerComputesInFloat) {
  for (const bool is_qat : {false, true}) {
    at::manual_seed(3);
    Chain c;
    const auto all = quantization_rows(*quantized(c.model, options_of({}, is_qat), c.g.inputs()));
    EXPECT_TRUE(row_of(all, "aten.conv2d.default", 1).inputs.at(1));
    const auto model = quantized(c.model, options_of({leave("features.1.*")}, is_qat), c.g.inputs());
    const auto rows = quantization_rows(*model);
    EXPECT_TRUE(row_of(rows, "aten.conv2d.default", 0).inputs.at(1));
    EXPECT_FALSE(row_of(rows, "aten.conv2d.default", 1).inputs.at(1));
    EXPECT_FALSE(row_of(rows, "aten.conv2d.default", 1).inputs.at(2));
    EXPECT_TRUE(row_of(rows, "aten.linear.default").inputs.at(1));
    EXPECT_TRUE(at::equal(model->attr("features.1.0.weight"), c.model->attr("features.1.0.weight")));
  }
}

TEST(LeaveFloat, ABatchNormOfTrainingGoesWithItsConvolution) {
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({4, 3, 8, 8}), 3, 4);
  Node* norm = g.batch_norm("n", conv, 4);
  Node* relu = g.call("aten.relu.default", {norm});
  const auto model = g.finish({relu});
  const auto left = NeutronQuantizer(options_of({leave("c")}, true)).explain(*model);
  const Graph& graph = left.model->graph();
  EXPECT_TRUE(is_float(graph.find("conv2d")));
  EXPECT_TRUE(is_float(graph.find("batch_norm")));
  EXPECT_NE(annotation(std::as_const(*graph.find("relu")))->input(graph.find("batch_norm")), nullptr);

  const auto alone = NeutronQuantizer(options_of({leave("n")}, true)).explain(*model);
  EXPECT_FALSE(alone.plan.overrides.at(0).in_effect);
  EXPECT_FALSE(is_float(alone.model->graph().find("conv2d")));
  // Both ways train and convert.
  for (const char* name : {"c", "n"}) {
    const auto made = quantized(model, options_of({leave(name)}, true), g.inputs());
    EXPECT_EQ(row_of(quantization_rows(*made), "aten.conv2d.default").inputs.at(1).has_value(), name[0] == 'n');
  }
}

TEST(LeaveFloat, OfTheActivationParts) {
  Chain c;
  c.annotate(options_of({leave("", "relu")}));
  EXPECT_NE(output_spec(c.a), nullptr);
  EXPECT_TRUE(is_float(c.relu_a));
  EXPECT_NE(annotation(*c.b)->input(c.relu_a), nullptr);
}

// Whatever is left in float, the rest of a network quantizes, and the result is no worse than int8 throughout.
TEST(LeaveFloat, AnyPartsOfRealNetworks) {
  std::mt19937 random(2);
  for (const std::string name : {"net_shuffle_unit", "net_unet", "net_autoencoder"}) {
    const std::string folder = test::data("golden/cases/" + name);
    const auto model = load_pt2(folder + "/model.pt2");
    const std::vector<at::Tensor> inputs = {read_npy(folder + "/test_0.npy")};
    const at::Tensor wanted = model->run(inputs).at(0);
    for (int round = 0; round < 8; ++round) {
      const bool is_qat = round % 2 == 1;
      std::vector<targets::Override> overrides;
      const auto explained = NeutronQuantizer(options_of({}, is_qat)).explain(*model);
      for (const auto& entry : explained.plan.entries) {
        if (random() % 3 == 0) overrides.push_back(leave(entry.node->name()));
      }
      ASSERT_LT(overrides.size(), explained.plan.entries.size());
      const auto made = quantized(model, options_of(overrides, is_qat), inputs);
      EXPECT_GT(compute_error(wanted, made->run(inputs).at(0)), 14.0) << name << " round " << round;
      const auto after = NeutronQuantizer(options_of(overrides, is_qat)).explain(*model);
      for (const auto& entry : after.plan.entries) {
        const bool left = entry.reason.rfind("left in float", 0) == 0;
        EXPECT_FALSE(left && is_annotated(*entry.node)) << entry.node->name();
      }
    }
  }
}

TEST(Observer, TheScaleIsThatOfTheObserverNamed) {
  at::manual_seed(8);
  GraphBuilder g;
  Node* x = g.input({4096, 16});
  const auto model = g.finish({g.call("aten.relu.default", {g.linear("body", x, 16, 16)})});
  // One outlier, which a histogram cuts off and a minimum and maximum do not.
  std::vector<at::Tensor> inputs = {at::randn({4096, 16})};
  inputs[0][0] *= 6;
  const at::Tensor out = model->run(inputs).at(0);
  const auto scale = [&](const NeutronOptions& options) {
    return row_of(quantization_rows(*quantized(model, options, inputs)), "aten.relu.default").output->scale.at(0);
  };
  const double exact = out.max().item<float>() / 255.0F;
  EXPECT_LT(scale(options_of({})), 0.98 * exact);
  EXPECT_FLOAT_EQ(scale(options_of({observe("body", "min_max")})), exact);
  targets::Override by_op = observe("", "moving_average_min_max");
  by_op.op = "relu";
  EXPECT_FLOAT_EQ(scale(options_of({by_op})), exact);
}

TEST(Observer, TheReaderKeepsTheGridOfTheProducer) {
  for (const bool is_qat : {false, true}) {
    Chain c;
    c.annotate(
        options_of({observe("features.0.0", "min_max"), observe("features.1.0", "moving_average_min_max")}, is_qat));
    const std::string wanted =
        is_qat ? "FakeQuantize(MinMaxObserver(eps=2^-12))" : std::string("MinMaxObserver(eps=2^-12)");
    EXPECT_EQ(observer_of(*output_spec(c.relu_a)), wanted);
    EXPECT_EQ(observer_of(*annotation(*c.b)->input(c.relu_a)), wanted);
    const SharingGroups groups = resolve_sharing(c.model->graph());
    EXPECT_EQ(groups.find(EdgeOrNode(c.relu_a)), groups.find(EdgeOrNode(c.relu_a, c.b)));
    EXPECT_EQ(observer_of(*output_spec(c.x)), observer_of(*annotation(*c.a)->input(c.x)));
    EXPECT_EQ(observer_of(*output_spec(c.relu_b)), is_qat
                                                       ? "FusedMovingAvgObsFakeQuantize(eps=2^-12, averaging=each run)"
                                                       : "MovingAverageMinMaxObserver(eps=2^-12, averaging=each run)");
  }
}

TEST(Observer, OfWeightsServesTheirScheme) {
  Chain c;
  c.annotate(
      options_of({observe("features.*", "", "moving_average_per_channel_min_max"), observe("head", "", "histogram")}));
  EXPECT_EQ(observer_of(*annotation(*c.a)->input(c.a->arg("weight").node())), "MovingAveragePerChannelMinMaxObserver");
  EXPECT_EQ(observer_of(*annotation(*c.head)->input(c.head->arg("weight").node())), "HistogramObserver");
  Chain wrong;
  test::expect_error([&] { wrong.annotate(options_of({observe("features.1.0", "", "min_max")})); },
                     {"conv2d_1", "overrides[0].weight_observer", "per_channel_min_max", "'min_max'"});
  test::expect_error([&] { wrong.annotate(options_of({observe("head", "", "per_channel_min_max")})); },
                     {"linear", "overrides[0].weight_observer", "'per_channel_min_max'"});
}

TEST(Overrides, LaterOnesWin) {
  targets::Override back = leave("features.1.*");
  back.quantize = true;
  Chain c;
  c.annotate(options_of({leave("features.*"), back}));
  EXPECT_TRUE(is_float(c.a));
  EXPECT_FALSE(is_float(c.b));
  Chain d;
  d.annotate(options_of({observe("features.*", "min_max"), observe("*", "moving_average_min_max"), leave("head"),
                         observe("features.1.0", "histogram")}));
  EXPECT_EQ(observer_of(*output_spec(d.relu_a)), "MovingAverageMinMaxObserver(eps=2^-12, averaging=each run)");
  EXPECT_EQ(observer_of(*output_spec(d.relu_b)), "HistogramObserver(eps=2^-12)");
  EXPECT_TRUE(is_float(d.head));
  Chain e;
  e.annotate(options_of({leave("head"), observe("he*", "min_max")}));
  EXPECT_FALSE(is_float(e.head));
}

TEST(Overrides, OnesThatDoNothingAreWarnedOf) {
  Chain c;
  testing::internal::CaptureStderr();
  c.annotate(options_of({leave("faetures.*"), observe("max_pool2d", "min_max"), leave("head")}));
  const std::string warnings = testing::internal::GetCapturedStderr();
  EXPECT_NE(warnings.find("overrides[0] (module 'faetures.*') matches no node"), std::string::npos) << warnings;
  EXPECT_NE(warnings.find("overrides[1] (module 'max_pool2d') changes nothing"), std::string::npos) << warnings;
  EXPECT_EQ(warnings.find("overrides[2]"), std::string::npos) << warnings;
}

TEST(MulRange, ObservedIsBetterBeyondAHalf) {
  at::manual_seed(6);
  for (const bool is_qat : {false, true}) {
    GraphBuilder g;
    Node* x = g.input({8, 32});
    Node* y = g.input({8, 32});
    const auto model = g.finish({g.call("aten.mul.Tensor", {x, y})});
    const std::vector<at::Tensor> inputs = {at::randn({8, 32}) * 2, at::randn({8, 32}) * 2};
    const at::Tensor wanted = model->run(inputs).at(0);
    const auto sqnr = [&](MulRange range) {
      NeutronOptions options = options_of({}, is_qat);
      options.mul_range = range;
      return compute_error(wanted, quantized(model, options, inputs)->run(inputs).at(0));
    };
    EXPECT_LT(sqnr(MulRange::kReference), 10.0);
    EXPECT_GT(sqnr(MulRange::kObserved), 30.0);
    EXPECT_EQ(sqnr(NeutronOptions().mul_range), sqnr(MulRange::kObserved)) << "the default";
  }
}

QuantizerConfig parsed(const std::string& text, std::optional<QuantizationMode> mode = std::nullopt) {
  return targets::parse_config(text, "c.json", all_targets(), mode);
}

std::shared_ptr<GraphModule> quantized(const std::shared_ptr<GraphModule>& model, const QuantizerConfig& config,
                                       const std::vector<at::Tensor>& inputs) {
  targets::TableQuantizer quantizer(all_targets().find(config.options.target), config.options);
  return calibrate_and_quantize(model->copy(), {inputs}, quantizer);
}

QuantizerConfig full_config() {
  QuantizerConfig config = parsed("{\"version\": 1}");
  targets::Override both = observe("features.1.*", "min_max", "moving_average_per_channel_min_max");
  both.op = "conv2d*";
  targets::Override back = leave("head");
  back.quantize = true;
  config.options.overrides = {leave("features.0.*"), leave("", "aten.relu.default"), both, back};
  config.options.settings["mul_range"] = "reference";
  config.calibration = targets::CalibrationFacts{"npy:calib_*.npy", 256, 32, 7};
  config.training = {{"epochs", "3"}, {"lr", "0.01"}};
  return config;
}

TEST(Config, IsWrittenAndReadBackTheSame) {
  const QuantizerConfig config = full_config();
  const std::string text = to_json(config).dump(2);
  EXPECT_EQ(parsed(text), config) << text;
  EXPECT_EQ(to_json(parsed(text)).dump(2), text);
  const QuantizerConfig plain = parsed("{\"version\": 1}");
  EXPECT_EQ(plain.options.target, "imxrt700");
  EXPECT_EQ(plain.options.settings.at("mul_range"), "observed");
  EXPECT_EQ(plain.options.mode, QuantizationMode::kPtq);
  EXPECT_EQ(parsed(to_json(plain).dump()), plain);
  EXPECT_EQ(parsed("{\"version\": 1, \"qat\": false}", QuantizationMode::kQat).options.mode, QuantizationMode::kQat);
}

// How samples were made stands beside the data, under a name of the kind of files; flags win over it.
TEST(Config, KeepsHowSamplesWereMade) {
  targets::SampleFacts pictures;
  pictures.resize = 256;
  pictures.filter = "bicubic";
  pictures.mean = {0.5, 0.5, 0.5};
  targets::SampleFacts sounds;
  sounds.features = "logmel";
  sounds.rate = 8000;
  sounds.hop_ms = 32;
  sounds.part_ms = {1568, 8000};
  sounds.mel_range = {20, 3000};
  sounds.time_last = true;
  sounds.held_out = 0.2;
  for (const bool are_pictures : {true, false}) {
    QuantizerConfig config = full_config();
    config.calibration->data = are_pictures ? "images:folder" : "audio:folder";
    config.calibration->made = are_pictures ? pictures : sounds;
    const auto json = to_json(config);
    EXPECT_EQ(json["calibration"].contains(are_pictures ? "pictures" : "sounds"), true) << json.dump();
    EXPECT_EQ(json["calibration"].contains(are_pictures ? "sounds" : "pictures"), false) << json.dump();
    EXPECT_EQ(parsed(json.dump()), config) << json.dump();
  }
  targets::SampleFacts flags;
  flags.rate = 16000;
  const targets::SampleFacts both = targets::settled(flags, sounds);
  EXPECT_EQ(both.rate, 16000);
  EXPECT_EQ(both.hop_ms, 32);
  EXPECT_EQ(both.part_ms, sounds.part_ms);
}

TEST(Config, ARunIsRepeatedBitForBit) {
  for (const bool is_qat : {false, true}) {
    at::manual_seed(9);
    Chain c;
    QuantizerConfig config = parsed("{\"version\": 1, \"mul_range\": \"reference\"}");
    config.options.overrides = {leave("features.0.0"), observe("head", "min_max")};
    config.options.mode = is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq;
    const auto first = quantized(c.model, config, c.g.inputs());
    const auto again = quantized(c.model, parsed(to_json(config).dump()), c.g.inputs());
    EXPECT_EQ(rows_text(quantization_rows(*again)), rows_text(quantization_rows(*first)));
    EXPECT_TRUE(at::equal(again->run(c.g.inputs()).at(0), first->run(c.g.inputs()).at(0)));
  }
}

TEST(Options, OfNoChoiceGiveWhatThePlainQuantizerGives) {
  for (const bool is_qat : {false, true}) {
    at::manual_seed(10);
    Chain c;
    NeutronQuantizer plain(NeutronTargetSpec("imxrt700"), is_qat);
    const auto wanted = calibrate_and_quantize(c.model->copy(), {c.g.inputs()}, plain);
    const auto got = quantized(c.model, options_of({}, is_qat), c.g.inputs());
    EXPECT_EQ(rows_text(quantization_rows(*got)), rows_text(quantization_rows(*wanted)));
  }
}

}  // namespace
}  // namespace octet
