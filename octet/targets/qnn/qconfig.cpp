#include "octet/targets/qnn/qconfig.h"

namespace octet::qnn {
namespace {

using targets::FixedGrid;
using targets::ObserverChoice;
using targets::QuantizationConfig;
using targets::Role;
using targets::RoleConfig;
using targets::Rounding;
using targets::Watch;

constexpr double kEps8 = 0.0001 / 255;
constexpr double kEps16 = 0.0001 / 65535;
constexpr int64_t kMost16 = 65535;
constexpr int64_t kBlockLevels = 16;  // a block's scale is an integer of four bits times its channel's

const ObserverChoice kMinMax = {Watch::kMinMax};
const ObserverChoice kRounded = {Watch::kMinMax, Rounding::kFakeQuantize};
// Each place in turn, as the reference does.
ObserverChoice averaged(Rounding rounding) {
  return {.watch = Watch::kMovingAverage, .rounding = rounding, .averaging = Averaging::kEachCall};
}
const ObserverChoice kAveraged = averaged(Rounding::kNone);
const ObserverChoice kAveragedAndRounded = averaged(Rounding::kFakeQuantize);
const ObserverChoice kFused = averaged(Rounding::kFused);

// Numbers of the activations and weights of a QuantDtype.
struct Bits {
  int activation;  // 0: float
  int weight;
};

Bits bits_of(QuantDtype dtype) {
  switch (dtype) {
    case QuantDtype::use_16a16w:
      return {16, 16};
    case QuantDtype::use_16a8w:
      return {16, 8};
    case QuantDtype::use_16a4w:
    case QuantDtype::use_16a4w_block:
      return {16, 4};
    case QuantDtype::use_16a2w:
      return {16, 2};
    case QuantDtype::use_8a4w:
      return {8, 4};
    case QuantDtype::use_fp16a8w:
      return {0, 8};
    case QuantDtype::use_8a8w:
      break;
  }
  return {8, 8};
}

class Numbers {
 public:
  explicit Numbers(const ModuleQConfig& config) : config_(config), bits_(bits_of(config.quant_dtype)) {}

  double eps() const { return config_.eps.value_or(bits_.activation == 16 ? kEps16 : kEps8); }
  // Of an operator whose weight is quantized per channel.
  double channel_eps() const { return config_.is_qat || bits_.activation == 0 ? eps() : config_.eps.value_or(kEps16); }

  RoleConfig activation(double least) const {
    RoleConfig numbers = {.after_training = kAveraged, .in_training = kFused, .eps = least};
    numbers.dtype = bits_.activation == 16 ? at::kInt : at::kByte;
    numbers.symmetric = config_.act_symmetric;
    if (bits_.activation == 16) {
      numbers.quant_min = 0;
      numbers.quant_max = kMost16;
      if (config_.act_symmetric && !config_.reference_quirks) numbers.zero_point = (kMost16 + 1) / 2;
    } else if (!config_.act_symmetric) {
      numbers.quant_min = 0;
      numbers.quant_max = 255;
    }
    return numbers;
  }

  // As the reference has it beside weights per channel: symmetric 16 bits are those of the whole int32.
  RoleConfig channel_activation() const {
    RoleConfig numbers = activation(channel_eps());
    if (bits_.activation == 16 && config_.act_symmetric && config_.reference_quirks) {
      numbers.quant_min = numbers.quant_max = std::nullopt;
    }
    return numbers;
  }

  RoleConfig weight(bool per_channel) const {
    RoleConfig numbers = {.symmetric = true, .per_channel = per_channel};
    numbers.eps = per_channel ? channel_eps() : eps();
    numbers.in_training = per_channel ? kRounded : kFused;
    if (!per_channel && config_.quant_dtype == QuantDtype::use_16a8w && !config_.is_qat) {
      numbers.dtype = at::kByte;  // zero point 128
      return numbers;
    }
    const int64_t most = (int64_t{1} << (bits_.weight - 1)) - 1;
    numbers.dtype = bits_.weight == 16 ? at::kShort : at::kChar;
    numbers.quant_min = bits_.weight == 2 ? -2 : -most;
    numbers.quant_max = most;
    return numbers;
  }

  // Of 16 bits, beside activations of 16 bits.
  RoleConfig factor() const {
    return {.dtype = at::kShort,
            .quant_min = -32767,
            .quant_max = 32767,
            .symmetric = true,
            .after_training = kMinMax,
            .in_training = kMinMax,
            .eps = kEps16};
  }

  RoleConfig bias() const {
    return {.dtype = at::kInt,
            .quant_min = std::numeric_limits<int32_t>::min(),
            .quant_max = std::numeric_limits<int32_t>::max(),
            .symmetric = true,
            .in_training = kAveragedAndRounded,
            .eps = eps()};
  }

  RoleConfig derived_bias() const {
    RoleConfig numbers = bias();
    numbers.per_channel = true;
    numbers.derived = true;
    numbers.interleaved = true;
    return numbers;
  }

  // On scales of kBlockLevels levels, as the weight's blocks have them.
  RoleConfig block_bias() const {
    RoleConfig numbers = derived_bias();
    numbers.block_levels = kBlockLevels;
    return numbers;
  }

  RoleConfig unit(double scale, int64_t zero_point) const {
    return {.dtype = bits_.activation == 16 ? at::kInt : at::kByte,
            .quant_min = 0,
            .quant_max = bits_.activation == 16 ? kMost16 : 255,
            .fixed = FixedGrid{scale, zero_point}};
  }

  // The range of all that is joined, which all that is joined takes over.
  RoleConfig joined() const {
    RoleConfig numbers = activation(kDefaultEps);
    numbers.after_training = numbers.in_training = kMinMax;
    numbers.leads = !(config_.is_qat && config_.reference_quirks);
    return numbers;
  }

 private:
  const ModuleQConfig& config_;
  Bits bits_;
};

void add_products(QuantizationConfig& made, const ModuleQConfig& config, const Numbers& numbers) {
  const bool is_float = bits_of(config.quant_dtype).activation == 0;
  const auto bias = [&](bool per_channel) -> std::optional<RoleConfig> {
    if (!per_channel) return numbers.bias();
    return is_float ? std::nullopt : std::optional(numbers.derived_bias());
  };
  for (const Role role : {Role::kConvWeight, Role::kTransposedConvWeight}) {
    made.roles[role] = numbers.weight(config.is_conv_per_channel);
  }
  made.roles[Role::kConvBias] = bias(config.is_conv_per_channel);
  made.roles[Role::kLinearWeight] = numbers.weight(config.is_linear_per_channel);
  made.roles[Role::kLinearBias] = bias(config.is_linear_per_channel);
  if (is_float || !(config.is_conv_per_channel || config.is_linear_per_channel)) return;
  made.roles[Role::kConvActivation] = numbers.channel_activation();
}

QuantizationConfig without_quirks(const ModuleQConfig& config) {
  const Numbers numbers(config);
  const Bits bits = bits_of(config.quant_dtype);
  QuantizationConfig made;
  made.quantize_inputs = false;
  made.quantize_constants = true;
  made.roles = {{Role::kWeight, numbers.weight(false)}, {Role::kBias, numbers.bias()}};
  add_products(made, config, numbers);
  if (bits.activation == 0) {
    for (const Role role : {Role::kActivation, Role::kBatchNormWeight, Role::kLayerNormWeight}) {
      made.roles[role] = std::nullopt;
    }
    return made;
  }
  made.roles[Role::kActivation] = numbers.activation(numbers.eps());
  made.roles[Role::kJoined] = numbers.joined();
  if (bits.activation == 16) {
    made.roles[Role::kUnit] = numbers.unit(1.0 / (kMost16 + 1), 0);
    made.roles[Role::kSignedUnit] = numbers.unit(1.0 / 32768, 32768);
    made.roles[Role::kSecondFactor] = made.roles[Role::kLayerNormWeight] = numbers.factor();
    made.roles[Role::kBatchNormWeight] = made.roles[Role::kWeight];
  } else {
    made.roles[Role::kUnit] = numbers.unit(1.0 / 256, 0);
    made.roles[Role::kBatchNormWeight] = made.roles[Role::kLayerNormWeight] = made.roles[Role::kActivation];
  }
  return made;
}

}  // namespace

QuantizationConfig quantization_config(const ModuleQConfig& config) {
  QuantizationConfig made = without_quirks(config);
  if (config.reference_quirks) targets::round_to_kernel_grids(made);
  return made;
}

QuantizationConfig block_config(const ModuleQConfig& config, int64_t group) {
  ModuleQConfig per_channel = config;
  per_channel.is_conv_per_channel = per_channel.is_linear_per_channel = true;
  const Numbers numbers(per_channel);
  QuantizationConfig made = quantization_config(per_channel);
  RoleConfig weight = numbers.weight(true);
  weight.per_channel = false;
  weight.blocks = targets::BlockChoice{group, MappingType::kSymmetric};
  weight.after_training = weight.in_training = {};
  made.roles[Role::kConvWeight] = made.roles[Role::kLinearWeight] = weight;
  const bool is_float = bits_of(config.quant_dtype).activation == 0;
  for (const Role role : {Role::kConvBias, Role::kLinearBias}) {
    made.roles[role] = is_float ? std::nullopt : std::optional(numbers.block_bias());
  }
  return made;
}

}  // namespace octet::qnn
