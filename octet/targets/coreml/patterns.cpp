#include "octet/targets/coreml/patterns.h"

namespace octet::coreml {
namespace {

using targets::InputSpec;
using targets::PatternActivation;
using targets::PatternSharing;
using targets::PatternTable;
using targets::QuantizationPattern;
using targets::Role;
using Ops = std::vector<std::string_view>;

constexpr std::string_view kLinear = "aten.linear.default";
constexpr std::string_view kConv3d = "aten.conv3d.default";
constexpr std::string_view kConvs[] = {"aten.conv1d.default", "aten.conv2d.default", kConv3d};

// relu6 and what computes it are never negative, as relu is; at other bounds a hardtanh may be.
const std::vector<ActivationBounds> kRelu6 = {{0.0, 6.0}};

// In the reference's order, each in place first.
const PatternActivation kActivations[] = {
    {{"aten.relu_.default"}, Role::kNonNegative},
    {{"aten.relu.default"}, Role::kNonNegative},
    {{"aten.relu6_.default"}, Role::kNonNegative},
    {{"aten.relu6.default"}, Role::kNonNegative},
    {{"aten.leaky_relu_.default"}},
    {{"aten.leaky_relu.default"}},
    {{"aten.silu_.default"}},
    {{"aten.silu.default"}},
    {{"aten.elu_.default"}},
    {{"aten.elu.default"}},
    {{"aten.celu_.default"}},
    {{"aten.celu.default"}},
    {{"aten.selu_.default"}},
    {{"aten.selu.default"}},
    {{"aten.mish_.default"}},
    {{"aten.mish.default"}},
    {{"aten.hardtanh_.default"}, Role::kNonNegative, kRelu6},
    {{"aten.hardtanh.default"}, Role::kNonNegative, kRelu6},
    {{"aten.hardswish_.default"}},
    {{"aten.hardswish.default"}},
    {{"aten.hardsigmoid_.default"}, Role::kNonNegative},
    {{"aten.hardsigmoid.default"}, Role::kNonNegative},
};
// Those that F has no in-place form of, tried behind all others.
const PatternActivation kLateActivations[] = {{{"aten.gelu.default"}},
                                              {{"aten.sigmoid.default"}, Role::kNonNegative},
                                              {{"aten.log_sigmoid.default"}},
                                              {{"aten.tanh.default"}, Role::kSignedUnit}};

QuantizationPattern weighted(const std::string& name, std::string_view op) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = {op};
  pattern.inputs = {
      {"input"}, {"weight", op == kLinear ? Role::kLinearWeight : Role::kConvWeight}, {"bias", Role::kBias}};
  pattern.input_spec = InputSpec::kOfProducer;
  return pattern;
}

// The reference trains a convolution of lines and of images as one with its BatchNorm, of volumes and a linear not.
QuantizationPattern with_batch_norm(QuantizationPattern pattern, bool trains_batch_norm) {
  pattern.batch_norm = true;
  pattern.trains_batch_norm = trains_batch_norm;
  return pattern;
}

// The reference's pattern has two inputs, which one value cannot be.
std::string reads_two_values(const targets::PatternSubject& subject) {
  const Node* first = subject.node.arg(size_t{0}).node();
  return first == nullptr || first != subject.node.arg(1).node() ? "" : "its operands are one value";
}

QuantizationPattern binary(const std::string& name, Ops ops) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = std::move(ops);
  pattern.inputs = {{"self"}, {"other"}};
  pattern.conditions = {reads_two_values};
  return pattern;
}

QuantizationPattern sharing(const std::string& name, Ops ops) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = std::move(ops);
  pattern.sharing = PatternSharing::kProducer;
  return pattern;
}

// The patterns with every activation, a stage each: what stands before a convolution may be annotated by then or not,
// and lends its spec only if it is.
void add_with_activations(PatternTable& table, const std::vector<QuantizationPattern>& patterns) {
  const auto add = [&](const auto& activations) {
    for (const QuantizationPattern& pattern : patterns) {
      for (const PatternActivation& activation : activations) {
        QuantizationPattern joined = pattern;
        joined.activations = {activation};
        table.stages.push_back({std::move(joined)});
      }
    }
  };
  add(kActivations);
  add(kLateActivations);
}

void add_alone(PatternTable& table, const std::vector<QuantizationPattern>& patterns) {
  for (const QuantizationPattern& pattern : patterns) table.stages.push_back({pattern});
}

}  // namespace

PatternTable patterns(bool finds_pools) {
  const auto convs = [](const std::string& name, bool batch_norm) {
    std::vector<QuantizationPattern> made;
    for (const std::string_view op : kConvs) {
      made.push_back(batch_norm ? with_batch_norm(weighted(name, op), op != kConv3d) : weighted(name, op));
    }
    return made;
  };
  const auto linear_bn = [](const std::string& name) { return with_batch_norm(weighted(name, kLinear), false); };
  PatternTable table;
  add_with_activations(table, convs("conv_act", false));
  add_with_activations(table, convs("conv_bn_act", true));
  add_alone(table, convs("conv_bn", true));
  add_alone(table, convs("conv", false));
  add_with_activations(table, {weighted("linear_act", kLinear)});
  add_with_activations(table, {linear_bn("linear_bn_act")});
  add_alone(table, {linear_bn("linear_bn"), weighted("linear", kLinear)});
  const Ops add = {"aten.add.Tensor", "aten.add_.Tensor"};
  const Ops mul = {"aten.mul.Tensor", "aten.mul_.Tensor"};
  const Ops matmul = {"aten.matmul.default"};
  add_with_activations(table, {binary("add_act", add)});
  add_alone(table, {binary("add", add)});
  add_with_activations(table, {binary("mul_act", mul)});
  add_alone(table, {binary("mul", mul)});
  add_with_activations(table, {binary("matmul_act", matmul)});
  add_alone(table, {binary("matmul", matmul)});
  if (!finds_pools) return table;
  add_alone(table,
            {sharing("max_pool1d", {"aten.max_pool1d.default"}), sharing("max_pool2d", {"aten.max_pool2d.default"}),
             sharing("max_pool3d", {"aten.max_pool3d.default"}),
             sharing("adaptive_avg_pool1d", {"aten.adaptive_avg_pool1d.default"}),
             sharing("adaptive_avg_pool2d", {"aten.adaptive_avg_pool2d.default"}),
             sharing("adaptive_avg_pool3d", {"aten.adaptive_avg_pool3d.default"}),
             sharing("avg_pool1d", {"aten.avg_pool1d.default", "aten.mean.default", "aten.mean.dim"}),
             sharing("avg_pool2d", {"aten.avg_pool2d.default"}), sharing("avg_pool3d", {"aten.avg_pool3d.default"}),
             sharing("flatten", {"aten.flatten.using_ints"})});
  return table;
}

}  // namespace octet::coreml
