#include "octet/targets/engine/quantization_config.h"

#include "octet/graph/node.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

at::QScheme scheme_of(const RoleConfig& numbers) {
  if (numbers.per_channel) return numbers.symmetric ? at::kPerChannelSymmetric : at::kPerChannelAffine;
  return numbers.symmetric ? at::kPerTensorSymmetric : at::kPerTensorAffine;
}

ObserverFactory plain_observer(const ObserverChoice& choice, bool per_channel, double eps) {
  switch (choice.watch) {
    case Watch::kHistogram:
      return histogram_observer(eps);
    case Watch::kMinMax:
      return per_channel ? per_channel_min_max_observer(eps) : min_max_observer(eps);
    case Watch::kMovingAverage:
      return per_channel ? moving_average_per_channel_min_max_observer(choice.averaging_constant, eps)
                         : moving_average_min_max_observer(choice.averaging_constant, eps, choice.averaging);
    case Watch::kNothing:
      return placeholder_observer(eps);
  }
  throw Error("observer", "is of no known kind");
}

void check_observer_choice(const ObserverChoice& choice, const RoleConfig& numbers, const std::string& where) {
  if (choice.watch == Watch::kHistogram && numbers.per_channel) {
    throw Error(where, "a histogram serves one scale, not one a channel");
  }
  if (choice.watch == Watch::kNothing && !numbers.dynamic) {
    throw Error(where, "nothing finds its range").hint("name an observer, or make it dynamic");
  }
  if (takes_moving_averages(choice.rounding) && choice.watch != Watch::kMovingAverage) {
    throw Error(where, "a fused fake quantizer takes a moving average alone");
  }
}

void check_blocks(const RoleConfig& numbers, Role role, const std::string& where) {
  if (numbers.per_token && !numbers.dynamic) throw Error(where, "has a grid a token, which dynamic grids alone have");
  if (!numbers.blocks) return;
  if (family(role) != Role::kWeight) throw Error(where, "blocks are for weights");
  if (numbers.per_channel || numbers.fixed || numbers.dynamic) {
    throw Error(where, "has blocks beside a grid of another kind").hint("a group of 0 is one block an output channel");
  }
  if (numbers.blocks->group < 0) throw expected(where, "group", "0 or more", octet::str(numbers.blocks->group));
  if (numbers.symmetric != (numbers.blocks->mapping != MappingType::kAsymmetric)) {
    throw expected(where, "mapping", numbers.symmetric ? "a symmetric one" : "an asymmetric one",
                   text(numbers.blocks->mapping));
  }
  if (!(numbers.after_training == ObserverChoice{}))
    throw Error(where, "blocks are found by minimum and maximum alone");
}

void check_derived(const QuantizationConfig& config, Role role, const RoleConfig& numbers, const std::string& where) {
  if (family(role) != Role::kBias) throw Error(where, "a derived grid is for biases");
  const RoleConfig* input = config.find(Role::kActivation);
  if (input == nullptr || input->dynamic)
    throw Error(where, "is derived from an activation without a grid known before");
  const Role weights[] = {role == Role::kLinearBias ? Role::kLinearWeight : Role::kConvWeight,
                          role == Role::kLinearBias ? Role::kLinearWeight : Role::kTransposedConvWeight};
  for (const Role weight : weights) {
    const RoleConfig* found = config.find(weight);
    if (found == nullptr) throw Error(where, octet::str("is derived from a ", text(weight), ", which stays in float"));
    if (found->per_channel != numbers.per_channel) {
      const auto count = [](bool per_channel) { return per_channel ? "one a channel" : "one"; };
      throw expected(where, "scales", octet::str(count(found->per_channel), ", as the ", text(weight), " has"),
                     count(numbers.per_channel));
    }
  }
}

}  // namespace

Role family(Role role) {
  switch (role) {
    case Role::kConvWeight:
    case Role::kTransposedConvWeight:
    case Role::kLinearWeight:
    case Role::kSlopes:
    case Role::kBatchNormWeight:
    case Role::kLayerNormWeight:
    case Role::kWeight:
      return Role::kWeight;
    case Role::kConvBias:
    case Role::kLinearBias:
    case Role::kBias:
      return Role::kBias;
    case Role::kShared:
    case Role::kFloat:
      return role;
    default:
      return Role::kActivation;
  }
}

const char* text(Role role) {
  switch (role) {
    case Role::kActivation:
      return "activation";
    case Role::kProductOperand:
      return "operand of a matrix product";
    case Role::kSecondFactor:
      return "second operand of a matrix product";
    case Role::kConvActivation:
      return "activation of a convolution or linear";
    case Role::kJoined:
      return "result of a concatenation";
    case Role::kHalf:
      return "operand of mul";
    case Role::kNonNegative:
      return "result that is never negative";
    case Role::kUnit:
      return "result within 0 .. 1";
    case Role::kSignedUnit:
      return "result within -1 .. 1";
    case Role::kWeight:
      return "weight";
    case Role::kConvWeight:
      return "weight of a convolution";
    case Role::kTransposedConvWeight:
      return "weight of a transposed convolution";
    case Role::kLinearWeight:
      return "weight of a linear";
    case Role::kSlopes:
      return "slopes";
    case Role::kBatchNormWeight:
      return "weight of a batch norm";
    case Role::kLayerNormWeight:
      return "weight of a layer norm";
    case Role::kBias:
      return "bias";
    case Role::kConvBias:
      return "bias of a convolution";
    case Role::kLinearBias:
      return "bias of a linear";
    case Role::kShared:
      return "shared";
    case Role::kFloat:
      return "float";
  }
  return "unknown";
}

Role QuantizationConfig::owner(Role role) const { return roles.count(role) > 0 ? role : family(role); }

const RoleConfig* QuantizationConfig::find(Role role) const {
  const auto found = roles.find(owner(role));
  return found != roles.end() && found->second ? &*found->second : nullptr;
}

void check(const QuantizationConfig& config, const std::string& where) {
  for (const auto& [role, entry] : config.roles) {
    if (!entry) continue;
    const RoleConfig& numbers = *entry;
    const std::string place = octet::str(where, ": ", text(role));
    if (role == Role::kShared) throw Error(place, "has the numbers of what it shares, none of its own");
    if (numbers.fixed.has_value() + numbers.derived + numbers.dynamic > 1) {
      throw Error(place, "takes its grid from two places").hint("one of fixed, derived and dynamic");
    }
    check_blocks(numbers, role, place);
    if (numbers.derived) {
      check_derived(config, role, numbers, place);
    } else if (!numbers.fixed) {
      check_observer_choice(numbers.after_training, numbers, place + ", after training");
      check_observer_choice(numbers.in_training, numbers, place + ", in training");
    }
    if (numbers.leads && role != Role::kJoined) throw Error(place, "leads, and joins nothing");
    if (!numbers.derived) validate(make_spec(numbers, 0, QuantizationMode::kPtq), place);
  }
}

bool takes_moving_averages(Rounding rounding) {
  return rounding == Rounding::kFused || rounding == Rounding::kKernelGrid;
}

void round_to_kernel_grids(QuantizationConfig& config) {
  for (auto& [role, numbers] : config.roles) {
    if (numbers && numbers->in_training.rounding == Rounding::kFused)
      numbers->in_training.rounding = Rounding::kKernelGrid;
  }
}

ObserverFactory observer(const ObserverChoice& choice, bool per_channel, double eps) {
  if (choice.rounding == Rounding::kFused) {
    return fused_moving_avg_fake_quantize(choice.averaging_constant, eps, choice.averaging);
  }
  const ObserverFactory plain = plain_observer(choice, per_channel, eps);
  if (choice.rounding == Rounding::kKernelGrid) return kernel_grid_fake_quantize(plain);
  return choice.rounding == Rounding::kFakeQuantize ? fake_quantize(plain) : plain;
}

AnySpec make_spec(const RoleConfig& numbers, int64_t channel_axis, QuantizationMode mode) {
  if (numbers.fixed) {
    FixedQParamsQuantizationSpec spec;
    spec.dtype = numbers.dtype;
    spec.scale = numbers.fixed->scale;
    spec.zero_point = numbers.fixed->zero_point;
    spec.quant_min = numbers.quant_min;
    spec.quant_max = numbers.quant_max;
    spec.qscheme = scheme_of(numbers);
    return spec;
  }
  QuantizationSpec spec;
  spec.dtype = numbers.dtype;
  spec.quant_min = numbers.quant_min;
  spec.quant_max = numbers.quant_max;
  spec.qscheme = scheme_of(numbers);
  spec.zero_point = numbers.zero_point;
  if (numbers.per_channel) spec.ch_axis = numbers.channel_axis.value_or(channel_axis);
  spec.is_dynamic = numbers.dynamic;
  if (numbers.blocks) {
    spec.observer_or_fake_quant = block_min_max_observer(numbers.blocks->mapping, numbers.eps);
    return spec;
  }
  spec.observer_or_fake_quant = observer(mode == QuantizationMode::kQat ? numbers.in_training : numbers.after_training,
                                         numbers.per_channel, numbers.eps);
  return spec;
}

std::string why_no_blocks(const RoleConfig& numbers, const Node& value) {
  if (!numbers.blocks) return "";
  if (!value.meta() || value.meta()->rank() < 2) return "its weight has no dimension of input features";
  const int64_t features = value.sizes()[1];
  const int64_t group = numbers.blocks->group;
  if (features > 0 && (group == 0 || features % group == 0)) return "";
  return octet::str("its ", features, " input features are no multiple of the group of ", group);
}

AnySpec sized_for(const Node& value, AnySpec spec, const RoleConfig& numbers) {
  auto* plain = std::get_if<QuantizationSpec>(&spec);
  if (plain == nullptr || !(numbers.blocks || numbers.per_token)) return spec;
  const std::vector<int64_t>& sizes = value.sizes();
  plain->block_size.assign(sizes.size(), 1);
  if (numbers.blocks) {
    plain->block_size.at(1) = numbers.blocks->group > 0 ? numbers.blocks->group : sizes.at(1);
  } else if (!sizes.empty()) {
    plain->block_size.back() = sizes.back();
  }
  return spec;
}

AnySpec make_bias_spec(const RoleConfig& numbers, Node* node, Node* input, Node* weight, bool transposed) {
  DerivedQuantizationSpec spec;
  spec.derived_from = {EdgeOrNode(input, node), EdgeOrNode(weight, node)};
  spec.derive_name = bias_derivation().name;
  if (numbers.block_levels) {
    spec.derive_name += octet::str(" of blocks / ", *numbers.block_levels);
  } else if (transposed && numbers.interleaved) {
    spec.derive_name += octet::str(", each ", conv_info(*node).value_or(ConvInfo{}).groups, " times");
  } else if (transposed) {
    spec.derive_name += octet::str(" for ", node->sizes().at(1), " channels");
  }
  spec.derive_qparams = find_derivation(spec.derive_name).derive;
  spec.dtype = numbers.dtype;
  spec.quant_min = numbers.quant_min;
  spec.quant_max = numbers.quant_max;
  spec.qscheme = scheme_of(numbers);
  if (numbers.per_channel) spec.ch_axis = numbers.channel_axis.value_or(0);
  return spec;
}

}  // namespace octet::targets
