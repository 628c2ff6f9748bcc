#include "octet/targets/intx/target.h"

#include <charconv>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/support/error.h"
#include "octet/targets/engine/scope_choice.h"

namespace octet::intx {
namespace {

using targets::QuantizationConfig;
using targets::QuantizationPattern;
using targets::QuantizerOptions;
using targets::Role;
using targets::RoleConfig;
using targets::Watch;

constexpr double kSmallestScale = std::numeric_limits<float>::min();

std::optional<int64_t> bits_of(at::ScalarType dtype) {
  constexpr at::ScalarType kTypes[] = {
      at::ScalarType::Int1, at::ScalarType::Int2, at::ScalarType::Int3, at::ScalarType::Int4,
      at::ScalarType::Int5, at::ScalarType::Int6, at::ScalarType::Int7, at::kChar};
  for (size_t i = 0; i < std::size(kTypes); ++i) {
    if (kTypes[i] == dtype) return static_cast<int64_t>(i + 1);
  }
  return std::nullopt;
}

int64_t group_of(const Granularity& granularity, const std::string& where) {
  if (const auto* axis = std::get_if<PerAxis>(&granularity)) {
    if (axis->axis != 0) throw expected(where, "PerAxis", "dimension 0, the output channels", octet::str(axis->axis));
    return 0;
  }
  const int64_t group = std::get<PerGroup>(granularity).group_size;
  if (group < 1) throw expected(where, "PerGroup", "1 or more", octet::str(group));
  return group;
}

std::string why_not(const WeightChoice& choice) {
  if (choice.bits == 1 && choice.mapping == MappingType::kSymmetricNoClippingErr) {
    return "SYMMETRIC_NO_CLIPPING_ERR with 1 bit: there is no positive level";
  }
  return "";
}

WeightChoice made(bool dynamic, at::ScalarType dtype, const Granularity& granularity, MappingType mapping,
                  const std::string& where) {
  const std::optional<int64_t> bits = bits_of(dtype);
  if (!bits) throw expected(where, "weight_dtype", "int1 to int8", dtype_name(dtype));
  const WeightChoice choice{dynamic, *bits, group_of(granularity, where), mapping};
  if (const std::string why = why_not(choice); !why.empty()) throw Error(where, why);
  return choice;
}

// Takes `prefix` off the front of `text`; false where it does not begin so.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// A number without sign or leading zero.
std::optional<int64_t> take_number(std::string_view& text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 1 || text.front() < '1' || text.front() > '9') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

std::string_view suffix(MappingType mapping) {
  switch (mapping) {
    case MappingType::kSymmetricNoClippingErr:
      return "-no-clipping";
    case MappingType::kAsymmetric:
      return "-asymmetric";
    default:
      return "";
  }
}

RoleConfig weight(const WeightChoice& choice) {
  const int64_t levels = int64_t{1} << (choice.bits - 1);
  RoleConfig numbers;
  numbers.quant_min = -levels;
  numbers.quant_max = levels - 1;
  numbers.symmetric = choice.mapping != MappingType::kAsymmetric;
  numbers.eps = kSmallestScale;
  numbers.blocks = targets::BlockChoice{choice.group, choice.mapping};
  return numbers;
}

RoleConfig token() {
  RoleConfig numbers;
  numbers.quant_min = -128;
  numbers.quant_max = 127;
  numbers.dynamic = true;
  numbers.per_token = true;
  numbers.after_training = {Watch::kNothing};
  numbers.eps = kSmallestScale;
  return numbers;
}

QuantizationConfig config(const WeightChoice& choice) {
  QuantizationConfig config;
  config.roles[Role::kWeight] = weight(choice);
  if (choice.dynamic) config.roles[Role::kActivation] = token();
  return config;
}

std::optional<targets::Scheme> scheme_named(const std::string& mode) {
  const std::optional<WeightChoice> choice = choice_from_mode(mode);
  if (!choice) return std::nullopt;
  return targets::Scheme{mode, [=](const QuantizerOptions&) { return config(*choice); }, QuantizationMode::kPtq};
}

std::string group_divides(const targets::PatternSubject& subject) {
  const RoleConfig* numbers = subject.config.find(Role::kWeight);
  const Node* weight = subject.node.arg("weight").node();
  return numbers == nullptr || weight == nullptr ? "" : why_no_blocks(*numbers, *weight);
}

// torchao takes modules: of a function that computes with weights of the module around it (attention) it knows nothing.
// True for programs that do not say what their modules are.
bool is_a_module(const Node& node) {
  const std::vector<std::string> types = targets::module_types(node);
  const std::string* path = node.notes().find(kModulePathNote);
  const Node* weight = node.arg("weight").node();
  if (types.empty() || path == nullptr || weight == nullptr || !weight->is_get_attr()) return true;
  const bool owns_weight = weight->target() == (path->empty() ? "weight" : *path + ".weight");
  return owns_weight || types.back().ends_with(".Linear");  // one module's weight may be another's too
}

std::string stands_in_a_module(const targets::PatternSubject& subject) {
  return is_a_module(subject.node) ? "" : "no linear module but a function: --operators all takes those";
}

QuantizationPattern with_weight(const std::string& name, std::vector<std::string_view> ops,
                                std::vector<targets::InputRule> inputs) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = std::move(ops);
  pattern.inputs = std::move(inputs);
  pattern.claims_parameters = false;
  pattern.serves_dynamic = true;
  pattern.conditions = {group_divides};
  return pattern;
}

// torchao's config with dynamic activations serves linears alone.
targets::PatternTable patterns(const QuantizerOptions& options) {
  const bool all = options.settings.at("operators") == "all";
  QuantizationPattern linear =
      with_weight("linear", {"aten.linear.default"}, {{"input"}, {"weight", Role::kLinearWeight}});
  if (!all) linear.conditions.insert(linear.conditions.begin(), stands_in_a_module);
  targets::PatternTable table;
  table.stages = {{std::move(linear)}};
  const std::optional<WeightChoice> choice = choice_from_mode(options.scheme);
  if (all && !(choice && choice->dynamic)) {
    table.stages.push_back(
        {with_weight("conv2d", {"aten.conv2d.default", "aten.conv2d.padding"}, {{"weight", Role::kConvWeight}}),
         with_weight("embedding", {"aten.embedding.default"}, {{"weight", Role::kWeight}})});
  }
  return table;
}

// One for all: it is the same of every linear. A program does not say which runtime it is for.
std::vector<targets::Warning> runtime_warnings(const GraphModule& quantized) {
  for (const Node* node : quantized.graph().nodes()) {
    if (!node->is(Trait::kLinear)) continue;
    const Node* input = node->arg("input").node();
    const Node* weight = node->arg("weight").node();
    const bool alone = weight != nullptr && weight->is_call("torchao.dequantize_affine.default") &&
                       (input == nullptr || !input->is(Trait::kDequantize));
    if (!alone) continue;
    return {{node->where(),
             "weights alone in this form are taken by ExecuTorch 1.5.1's XNNPACK partitioner, which computes something "
             "else, without an error",
             "for XNNPACK take a dynamic- mode, or target coreml's weight-only"}};
  }
  return {};
}

constexpr const char* kListed[] = {"weight-int8-channel",
                                   "weight-int4-channel",
                                   "weight-int4-group32",
                                   "weight-int4-group8",
                                   "weight-int4-group8-asymmetric",
                                   "weight-int2-group8",
                                   "dynamic-int8-channel",
                                   "dynamic-int4-channel",
                                   "dynamic-int4-group32",
                                   "dynamic-int4-group8",
                                   "dynamic-int4-group8-no-clipping"};

constexpr const char* kDocument =
    "Written by `octet operators --target intx`. A weight is int8, in blocks of neighbouring input features with a "
    "scale "
    "and a zero point each; the mode says bits, block and mapping, and whether activations stay in float or each token "
    "gets an int8 grid in each run. What the group does not divide stays in float, and so do biases.\n\n";

}  // namespace

WeightChoice choice_of(const IntxConfig& config) {
  if (const auto* alone = std::get_if<IntxWeightOnlyConfig>(&config)) {
    return made(false, alone->weight_dtype, alone->granularity, alone->mapping_type, "IntxWeightOnlyConfig");
  }
  const auto& dynamic = std::get<Int8DynamicActivationIntxWeightConfig>(config);
  return made(true, dynamic.weight_dtype, dynamic.weight_granularity, dynamic.weight_mapping_type,
              "Int8DynamicActivationIntxWeightConfig");
}

std::string mode_name(const WeightChoice& choice) {
  const std::string group = choice.group == 0 ? "channel" : octet::str("group", choice.group);
  return octet::str(choice.dynamic ? "dynamic" : "weight", "-int", choice.bits, '-', group, suffix(choice.mapping));
}

std::optional<WeightChoice> choice_from_mode(std::string_view mode) {
  WeightChoice choice;
  choice.dynamic = take(mode, "dynamic");
  if (!choice.dynamic && !take(mode, "weight")) return std::nullopt;
  if (!take(mode, "-int")) return std::nullopt;
  const std::optional<int64_t> bits = take_number(mode);
  if (!bits || *bits > 8 || !take(mode, "-")) return std::nullopt;
  choice.bits = *bits;
  if (!take(mode, "channel")) {
    const std::optional<int64_t> group = take(mode, "group") ? take_number(mode) : std::nullopt;
    if (!group) return std::nullopt;
    choice.group = *group;
  }
  for (const MappingType mapping :
       {MappingType::kSymmetric, MappingType::kSymmetricNoClippingErr, MappingType::kAsymmetric}) {
    choice.mapping = mapping;
    if (mode == suffix(mapping)) return why_not(choice).empty() ? std::optional(choice) : std::nullopt;
  }
  return std::nullopt;
}

targets::Target target() {
  targets::Target target;
  target.name = "intx";
  target.description =
      "torchao's quantize_: weights of 1 to 8 bits, alone or with dynamic int8 activations; no NPU's own";
  target.modes = {QuantizationMode::kPtq};
  for (const char* mode : kListed) target.schemes.push_back(*scheme_named(mode));
  target.more_schemes = {
      "weight-intB-..., dynamic-intB-...: B 1 to 8; ...-channel, ...-groupN; behind it nothing, "
      "-no-clipping or -asymmetric",
      scheme_named};
  target.patterns = patterns;
  target.settings = {
      {"operators",
       "Whose weights: linear (modules, the default), or all: linears in functions too (attention), and with weights "
       "alone embedding and conv2d",
       {{"linear"}, {"all"}}}};
  target.folds_batch_norms = false;
  target.warnings = runtime_warnings;
  target.document = kDocument;
  return target;
}

}  // namespace octet::intx
