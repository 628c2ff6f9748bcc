// A target is data: one of uint8 activations, per-tensor weights, float biases and three operators, from its config and
// rows alone to a quantized model, a list and a table.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "octet/quantize/rows.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/config_file.h"
#include "octet/targets/engine/operator_table.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/engine/registry.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;

// ---- the target -----------------------------------------------------------------------------------------------------

QuantizationConfig tiny_config(const QuantizerOptions&) {
  const RoleConfig activation = {.dtype = at::kByte,
                                 .quant_min = 0,
                                 .quant_max = 255,
                                 .after_training = {Watch::kMinMax},
                                 .in_training = {Watch::kMovingAverage, Rounding::kFused},
                                 .eps = 0x1p-20};
  const RoleConfig weight = {.quant_min = -127, .quant_max = 127, .symmetric = true};
  return {.roles = {{Role::kActivation, activation}, {Role::kWeight, weight}}};
}

Target tiny() {
  OperatorRule conv;
  conv.ops = {"aten.conv2d.default"};
  conv.inputs = {{"input"}, {"weight", Role::kConvWeight}, {"bias", Role::kConvBias}};
  conv.fusion = Fusion::kActivation;
  OperatorRule relu;
  relu.ops = {"aten.relu.default", "aten.relu_.default"};
  relu.inputs = {{"self"}};
  relu.is_activation = true;
  OperatorRule pool;
  pool.ops = {"aten.max_pool2d.default"};
  pool.inputs = {{"self", Role::kShared}};
  pool.output = Role::kShared;
  pool.sharing = Sharing::kFirstInput;

  Target target;
  target.name = "tiny";
  target.description = "three operators in uint8";
  target.schemes = {{"uint8", tiny_config}};
  target.rules = RuleTable({conv, relu, pool});
  target.value_types = {"uint8", "int8"};
  return target;
}

// ---- what is made of it ---------------------------------------------------------------------------------------------

struct Net {
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({2, 3, 8, 8}), 3, 4);
  Node* relu = g.call("aten.relu.default", {conv});
  Node* pool = g.call("aten.max_pool2d.default", {relu, std::vector<int64_t>{2, 2}});
  std::shared_ptr<GraphModule> model = g.finish({g.call("aten.erf.default", {pool})});
};

std::shared_ptr<const Target> shared(Target target) { return std::make_shared<const Target>(std::move(target)); }

const QuantRow& row_of(const std::vector<QuantRow>& rows, const std::string& op) {
  for (const QuantRow& row : rows) {
    if (row.op == op) return row;
  }
  throw Error(op, "has no row");
}

// The scale of `values` on 256 levels that hold 0.
double scale_of(const at::Tensor& values) {
  return (std::max(values.max().item<double>(), 0.0) - std::min(values.min().item<double>(), 0.0)) / 255.0;
}

TEST(OwnTarget, QuantizesByItsConfigAndRows) {
  at::manual_seed(1);
  Net net;
  const auto wanted = net.model->run(net.g.inputs()).at(0);
  TableQuantizer quantizer(shared(tiny()));
  const auto quantized = calibrate_and_quantize(net.model->copy(), {net.g.inputs()}, quantizer);
  EXPECT_GT(compute_error(wanted, quantized->run(net.g.inputs()).at(0)), 30.0);

  const auto rows = quantization_rows(*quantized);
  const at::Tensor x = net.g.inputs().at(0);
  const at::Tensor weight = net.model->attr("c.weight");
  const QuantRow& conv = row_of(rows, "aten.conv2d.default");
  EXPECT_EQ(conv.inputs.at(0)->dtype, "uint8");
  EXPECT_FLOAT_EQ(conv.inputs.at(0)->scale.at(0), scale_of(x));
  EXPECT_EQ(conv.inputs.at(0)->quant_max, 255);
  EXPECT_EQ(conv.inputs.at(1)->dtype, "int8");
  ASSERT_EQ(conv.inputs.at(1)->scale.size(), 1u) << "one a tensor";
  EXPECT_FLOAT_EQ(conv.inputs.at(1)->scale.at(0), weight.abs().max().item<double>() / 127.0);
  EXPECT_FALSE(conv.inputs.at(2)) << "a float bias";
  EXPECT_FALSE(conv.output) << "computed together with the relu";
  const QuantRow& relu = row_of(rows, "aten.relu.default");
  const at::Tensor clipped = at::relu(at::conv2d(x, weight, net.model->attr("c.bias"), {1, 1}, {1, 1}));
  EXPECT_NEAR(relu.output->scale.at(0), scale_of(clipped), 0.01 * scale_of(clipped));
  EXPECT_EQ(relu.output->zero_point.at(0), 0);
  EXPECT_EQ(row_of(rows, "aten.max_pool2d.default").output, relu.output);
  EXPECT_FALSE(row_of(rows, "aten.erf.default").output) << "no row";
}

TEST(OwnTarget, TrainsWithFloatBiases) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({4, 3, 8, 8}), 3, 4);
  const auto model = g.finish({g.call("aten.relu.default", {g.batch_norm("n", conv, 4)})});
  const auto wanted = model->run(g.inputs()).at(0);
  TableQuantizer quantizer(shared(tiny()), {.mode = QuantizationMode::kQat});
  const auto quantized = calibrate_and_quantize(model->copy(), {g.inputs()}, quantizer);
  const auto rows = quantization_rows(*quantized);
  const QuantRow& row = row_of(rows, "aten.conv2d.default");
  EXPECT_TRUE(row.inputs.at(1));
  EXPECT_FALSE(row.inputs.at(2)) << "finish() leaves float biases to a target that wants them";
  EXPECT_GT(compute_error(wanted, quantized->run(g.inputs()).at(0)), 25.0);
}

TEST(OwnTarget, IsListedPlacedAndDescribed) {
  Registry registry;
  registry.add(tiny());
  EXPECT_EQ(registry.standard()->name, "tiny");
  test::expect_error([&] { registry.find("tny", "--target"); }, {"--target", "one of tiny", "'tny'"});
  test::expect_error([&] { registry.add(tiny()); }, {"'tiny'", "twice"});
  const QuantizerConfig config = parse_config(R"({"version": 1, "qat": true})", "c.json", registry);
  EXPECT_EQ(config.options.target, "tiny");
  EXPECT_EQ(parse_config(to_json(config).dump(), "c.json", registry), config);
  test::expect_error([&] { parse_config(R"({"version": 1, "mul_range": "observed"})", "c.json", registry); },
                     {"mul_range", "unknown key"});
  EXPECT_NE(operator_table(*registry.standard()).find("input A, weight W, bias -"), std::string::npos);

  at::manual_seed(3);
  GraphBuilder g;
  Node* conv = g.call("aten.conv2d.default", {g.input({1, 3, 8, 8}), g.parameter("c.weight", {4, 3, 3, 3})});
  const auto model = g.finish({g.call("aten.erf.default", {g.call("aten.relu.default", {conv})})});
  TableQuantizer quantizer(registry.standard());
  const Check check = check_model(*model, quantizer);
  EXPECT_EQ(check.placement.target, "tiny");
  EXPECT_EQ(check.placement.on_cpu(), 1) << "erf";
}

// ---- other configs over the same rows -------------------------------------------------------------------------------

// The annotations of the conv and the relu under a config: "dtype scheme" of input, weight, bias, result.
std::string words(const QuantizationConfig& config, QuantizationMode mode = QuantizationMode::kPtq) {
  Net net;
  Target target = tiny();
  target.schemes = {{"only", [config](const QuantizerOptions&) { return config; }}};
  TableQuantizer(shared(std::move(target)), {.mode = mode}).annotate(*net.model);
  const auto word = [](const AnySpec* spec) { return spec == nullptr ? std::string("float") : text(*spec); };
  const QuantizationAnnotation* conv = annotation(std::as_const(*net.conv));
  const QuantizationAnnotation* relu = annotation(std::as_const(*net.relu));
  std::string all;
  for (const char* argument : {"input", "weight", "bias"}) {
    all += word(conv == nullptr ? nullptr : conv->input(net.conv->arg(argument).node())) + "; ";
  }
  return all + word(relu != nullptr && relu->output_qspec ? &*relu->output_qspec : nullptr);
}

RoleConfig per_channel() { return {.quant_min = -127, .quant_max = 127, .symmetric = true, .per_channel = true}; }

TEST(Schemes, WeightsAlone) {
  EXPECT_EQ(words({.roles = {{Role::kWeight, RoleConfig{.quant_min = -8, .quant_max = 7, .symmetric = true}}}}),
            "float; int8[-8, 7] per_tensor_symmetric MinMaxObserver; float; float");
}

TEST(Schemes, Dynamic) {
  const RoleConfig activation = {
      .quant_min = -128, .quant_max = 127, .dynamic = true, .after_training = {Watch::kNothing}, .eps = 0x1p-12};
  EXPECT_EQ(words({.roles = {{Role::kActivation, activation}, {Role::kWeight, per_channel()}}}),
            "int8[-128, 127] per_tensor_affine dynamic PlaceholderObserver(eps=2^-12); int8[-127, 127] "
            "per_channel_symmetric axis 0 PerChannelMinMaxObserver; float; float");
}

TEST(Schemes, SixteenBitActivationsWithObservedBiases) {
  const RoleConfig activation = {.dtype = at::kInt,
                                 .quant_min = 0,
                                 .quant_max = 65535,
                                 .after_training = {Watch::kMovingAverage},
                                 .in_training = {Watch::kMovingAverage, Rounding::kFused},
                                 .eps = 0.0001 / 65535};
  const RoleConfig weight = {.dtype = at::kByte, .symmetric = true};  // the whole range: zero point 128
  const RoleConfig bias = {.dtype = at::kInt, .symmetric = true};
  const std::string found =
      words({.roles = {{Role::kActivation, activation}, {Role::kWeight, weight}, {Role::kBias, bias}}});
  EXPECT_NE(found.find("int32[0, 65535] per_tensor_affine MovingAverageMinMaxObserver(eps="), std::string::npos);
  EXPECT_NE(found.find("; uint8 per_tensor_symmetric MinMaxObserver; int32 per_tensor_symmetric MinMaxObserver; "),
            std::string::npos)
      << found;
}

TEST(Schemes, DerivedBiasesFollowTheirWeights) {
  const RoleConfig activation = {.after_training = {Watch::kHistogram}};
  const RoleConfig bias = {.dtype = at::kInt, .symmetric = true, .per_channel = true, .derived = true};
  QuantizationConfig config{.roles = {{Role::kActivation, activation},
                                      {Role::kWeight, per_channel()},
                                      {Role::kLinearWeight, std::nullopt},
                                      {Role::kConvBias, bias}}};
  EXPECT_NE(words(config).find("derived (bias = input * weight)"), std::string::npos) << words(config);
  config.roles[Role::kConvWeight] = RoleConfig{.symmetric = true};
  test::expect_error([&] { check(config, "config"); }, {"bias of a convolution", "weight of a convolution", "one"});
  config.roles[Role::kConvWeight] = std::nullopt;
  test::expect_error([&] { check(config, "config"); }, {"weight of a convolution", "stays in float"});
}

TEST(Schemes, RoundedWhileCalibrating) {
  const RoleConfig activation = {
      .dtype = at::kByte, .symmetric = true, .after_training = {Watch::kMovingAverage, Rounding::kFakeQuantize}};
  EXPECT_NE(words({.roles = {{Role::kActivation, activation}}})
                .find("uint8 per_tensor_symmetric FakeQuantize(MovingAverageMinMaxObserver(averaging=each run))"),
            std::string::npos);
}

TEST(Schemes, AnOverrideNamesOneForSomeModules) {
  Target target = tiny();
  target.schemes.push_back({"weights", [](const QuantizerOptions&) {
                              return QuantizationConfig{.roles = {{Role::kWeight, per_channel()}}};
                            }});
  const auto made = shared(std::move(target));
  GraphBuilder g;
  Node* a = g.conv2d("a", g.input({1, 3, 8, 8}), 3, 4);
  Node* b = g.conv2d("b", a, 4, 4);
  const auto model = g.finish({b});
  Override choice;
  choice.module = "b";
  choice.scheme = "weights";
  TableQuantizer(made, {.overrides = {choice}}).annotate(*model);
  const auto spec = [](Node* node, const char* argument) {
    return annotation(std::as_const(*node))->input(node->arg(argument).node());
  };
  EXPECT_NE(spec(a, "input"), nullptr);
  EXPECT_EQ(spec(b, "input"), nullptr);
  EXPECT_EQ(std::get<QuantizationSpec>(*spec(b, "weight")).ch_axis, 0);
  choice.scheme = "wieghts";
  test::expect_error([&] { TableQuantizer(made, {.overrides = {choice}}); },
                     {"overrides[0].scheme", "uint8, weights", "'wieghts'"});
}

TEST(Schemes, ContradictionsAreRefusedByRole) {
  const auto refused = [](const RoleConfig& numbers, const std::vector<std::string>& parts) {
    test::expect_error([&] { check(QuantizationConfig{.roles = {{Role::kActivation, numbers}}}, "config"); }, parts);
  };
  refused({.fixed = FixedGrid{1.0, 0}, .dynamic = true}, {"activation", "two places"});
  refused({.derived = true}, {"activation", "for biases"});
  refused({.per_channel = true, .after_training = {Watch::kHistogram}}, {"activation", "histogram"});
  refused({.after_training = {Watch::kNothing}}, {"activation", "nothing finds its range"});
  refused({.in_training = {Watch::kMinMax, Rounding::kFused}}, {"activation", "moving average"});
  refused({.quant_min = 3, .quant_max = 1}, {"activation", "quant_min"});
}

}  // namespace
}  // namespace octet::targets
