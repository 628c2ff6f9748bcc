#include "octet/targets/neutron/target.h"

#include "octet/support/error.h"
#include "octet/targets/neutron/operator_rules.h"
#include "octet/targets/neutron/passes.h"
#include "octet/targets/neutron/substitutes.h"

namespace octet::neutron {
namespace {

using targets::ObserverChoice;
using targets::QuantizationConfig;
using targets::QuantizerOptions;
using targets::Role;
using targets::RoleConfig;
using targets::Rounding;
using targets::Watch;

constexpr double kActivationEps = 0x1p-12;

RoleConfig activation(Averaging averaging) {
  return {.quant_min = -128,
          .quant_max = 127,
          .after_training = {Watch::kHistogram},
          .in_training = {.watch = Watch::kMovingAverage, .rounding = Rounding::kFused, .averaging = averaging},
          .eps = kActivationEps};
}

RoleConfig weight(bool per_channel) {
  return {.quant_min = -127, .quant_max = 127, .symmetric = true, .per_channel = per_channel};
}

RoleConfig product_operand(Averaging averaging) {
  RoleConfig operand = weight(false);  // bmm wants zero point 0
  operand.in_training.averaging = averaging;
  return operand;
}

RoleConfig bias(bool per_channel) {
  constexpr int64_t kLeast = std::numeric_limits<int32_t>::min();
  return {.dtype = at::kInt,
          .quant_min = per_channel ? kLeast + 1 : kLeast,
          .quant_max = std::numeric_limits<int32_t>::max(),
          .symmetric = per_channel,
          .per_channel = per_channel,
          .derived = true};
}

RoleConfig fixed(double scale, int64_t zero_point, const std::string& way_out = "") {
  return {.quant_min = -128, .quant_max = 127, .fixed = targets::FixedGrid{scale, zero_point, way_out}};
}

QuantizationConfig int8(const QuantizerOptions& options) {
  const Averaging averaging =
      options.settings.at("qat_ranges") == "reference" ? Averaging::kEachCall : Averaging::kEachRun;
  QuantizationConfig config;
  config.roles = {{Role::kActivation, activation(averaging)},
                  {Role::kProductOperand, product_operand(averaging)},
                  {Role::kUnit, fixed(1.0 / 256.0, -128)},
                  {Role::kSignedUnit, fixed(1.0 / 128.0, 0)},
                  {Role::kWeight, weight(false)},
                  {Role::kConvWeight, weight(true)},
                  {Role::kTransposedConvWeight, weight(true)},
                  {Role::kConvBias, bias(true)},
                  {Role::kLinearBias, bias(false)}};
  if (options.settings.at("mul_range") == "reference") {
    config.roles[Role::kHalf] = fixed(1.0 / 256.0, 0, "--mul-range observed");
    config.shares_exponentials = true;
  }
  config.narrows_ranges = options.settings.at("mul_range") == "observed";
  config.fuse_fixed_activations = options.settings.at("sigmoid_input") == "reference";
  return config;
}

std::vector<std::pair<std::string, std::string>> limits_text(const NeutronTargetSpec& spec) {
  const NeutronLimits& limits = spec.limits();
  const auto most = [](int64_t limit) { return octet::str("<= ", limit); };
  return {{"kernel, stride, dilation",
           octet::str(most(limits.kernel), ", ", most(limits.stride), ", ", most(limits.dilation))},
          {"stride of a transposed convolution", most(limits.transposed_stride)},
          {"kH * kW * channels, these rounded up to a multiple of " + std::to_string(spec.macs()),
           most(limits.convolution_weights)},
          {"softmax: channels, positions, elements",
           octet::str(most(limits.softmax_channels), ", ", most(limits.softmax_positions), ", ",
                      most(limits.softmax_elements))},
          {"dimensions of a reshape", most(limits.reshape_rank)},
          {"upsampling", "by " + join(", ", limits.upsample_scales)}};
}

constexpr const char* kDocument =
    "Written by `octet operators`; the suite compares. A row of `octet/targets/neutron/operator_rules.cpp` each. What "
    "no row names stays in float.\n\n"
    "Specs, all int8 but the biases: **A** activation, per tensor, affine, -128..127; **S** shared; **W** weight per "
    "tensor, **W0** and **W1** per channel of dimension 0 and 1, symmetric, -127..127; **B** bias, int32, its scale "
    "that of input times weight, **B0** a channel each; **P** per tensor, symmetric, -127..127; **F** fixed scale and "
    "zero point. Every input and result on the NPU must be int8 (weights and biases as said).\n\n";

}  // namespace

targets::Target target(const NeutronTargetSpec& spec, std::vector<targets::OperatorRule> rules) {
  targets::Target target;
  target.name = spec.name();
  target.description = octet::str("NXP eIQ Neutron ", spec.core(), ": int8 activations and weights, int32 biases");
  target.schemes = {{"int8", int8}};
  target.rules = targets::RuleTable(std::move(rules));
  target.settings = {
      {"mul_range",
       "Inputs of mul: observed (a range of their own, the default) or reference (fixed, saturates beyond -0.5 .. "
       "0.496)",
       {{"observed"}, {"reference", "fixed 1/256 with zero point 0"}}},
      {"sigmoid_input",
       "What sigmoid and tanh read of a convolution: observed (a range of its own, the default) or reference (none: "
       "quantized as one)",
       {{"observed"}, {"reference"}}},
      {"gelu",
       "gelu: float (on the CPU), on the NPU as sigmoid (x * sigmoid(1.702 x)) or tanh (its tanh form), or auto (tanh "
       "where that costs 1 dB of the results at most on calibration data, else float: the default)",
       {{targets::kWeighed}, {"float"}, {"sigmoid"}, {"tanh"}},
       {{"float", "tanh"}}},
      {"norms",
       "layer_norm, rms_norm, group_norm and instance_norm: float (on the CPU), integer (on the NPU, of several "
       "operators, less exactly), or auto (integer where that costs 1 dB of the results at most on calibration data, "
       "else float: the default)",
       {{targets::kWeighed}, {"float"}, {"integer"}},
       {{"float", "integer"}}},
      {"unroll_rnn",
       "lstm, gru and rnn: no (in float on the CPU, the default) or yes (written out step by step, for the length of "
       "the "
       "example)",
       {{"no"}, {"yes"}}},
      {"qat_ranges",
       "Ranges in training: joint (averages start from the whole calibration set, and take what shares a grid "
       "together, "
       "the default) or reference (from the first sample, each in turn)",
       {{"joint"}, {"reference"}}},
  };
  target.limits = limits_text(spec);
  target.passes = [limits = spec.limits(), table = target.rules](const QuantizerOptions& options) {
    return default_passes(limits, table, options);
  };
  target.value_types = {"int8", "uint8"};
  target.substitute_for = substitute_for;
  target.warnings = recurrent_warnings;
  target.document = kDocument;
  target.on_chip_bytes = spec.on_chip_bytes();
  return target;
}

targets::Target target(const NeutronTargetSpec& spec) { return target(spec, operator_rules(spec)); }

}  // namespace octet::neutron
