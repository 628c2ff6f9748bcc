#include "octet/targets/neutron/quantization_specs.h"

#include "octet/quantize/factories.h"
#include "octet/support/error.h"

namespace octet::neutron {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
constexpr int64_t kInt32Min = std::numeric_limits<int32_t>::min();

QuantizationSpec activation_spec(bool is_qat) {
  QuantizationSpec spec;
  spec.dtype = at::kChar;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.qscheme = at::kPerTensorAffine;
  spec.observer_or_fake_quant =
      is_qat ? fused_moving_avg_fake_quantize(0.01, kActivationEps) : histogram_observer(kActivationEps);
  return spec;
}

QuantizationSpec symmetric_spec(bool is_qat) {
  QuantizationSpec spec;
  spec.dtype = at::kChar;
  spec.quant_min = -127;
  spec.quant_max = 127;
  spec.qscheme = at::kPerTensorSymmetric;
  spec.observer_or_fake_quant = is_qat ? fake_quantize(moving_average_min_max_observer()) : min_max_observer();
  return spec;
}

QuantizationSpec per_channel_spec(bool is_qat, int64_t axis) {
  QuantizationSpec spec = symmetric_spec(is_qat);
  spec.qscheme = at::kPerChannelSymmetric;
  spec.ch_axis = axis;
  spec.observer_or_fake_quant =
      is_qat ? fake_quantize(moving_average_per_channel_min_max_observer()) : per_channel_min_max_observer();
  return spec;
}

FixedQParamsQuantizationSpec fixed_spec(double scale, int64_t zero_point) {
  FixedQParamsQuantizationSpec spec;
  spec.dtype = at::kChar;
  spec.scale = scale;
  spec.zero_point = zero_point;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.qscheme = at::kPerTensorAffine;
  return spec;
}

}  // namespace

const char* text(SpecKind kind) {
  switch (kind) {
    case SpecKind::kNone:
      return "none";
    case SpecKind::kActivation:
      return "activation";
    case SpecKind::kWeight:
      return "weight";
    case SpecKind::kConvWeight:
      return "conv weight";
    case SpecKind::kTransposedWeight:
      return "transposed conv weight";
    case SpecKind::kProduct:
      return "symmetric";
    case SpecKind::kHalf:
      return "fixed 1/256, 0";
    case SpecKind::kUnit:
      return "fixed 1/256, -128";
    case SpecKind::kSignedUnit:
      return "fixed 1/128, 0";
    case SpecKind::kConvBias:
      return "conv bias";
    case SpecKind::kLinearBias:
      return "linear bias";
    case SpecKind::kShared:
      return "shared";
  }
  return "unknown";
}

AnySpec make_spec(SpecKind kind, bool is_qat) {
  switch (kind) {
    case SpecKind::kActivation:
      return activation_spec(is_qat);
    case SpecKind::kWeight:
    case SpecKind::kProduct:
      return symmetric_spec(is_qat);
    case SpecKind::kConvWeight:
      return per_channel_spec(is_qat, 0);
    case SpecKind::kTransposedWeight:
      return per_channel_spec(is_qat, 1);
    case SpecKind::kHalf:
      return fixed_spec(1.0 / 256.0, 0);
    case SpecKind::kUnit:
      return fixed_spec(1.0 / 256.0, -128);
    case SpecKind::kSignedUnit:
      return fixed_spec(1.0 / 128.0, 0);
    default:
      throw Error("neutron", octet::str("a spec of kind '", text(kind), "' does not stand alone"));
  }
}

AnySpec make_bias_spec(SpecKind kind, Node* node, Node* input, Node* weight) {
  // Only a transposed convolution's weight may hold fewer scales than there are outputs.
  const bool transposed = node->is_call("aten.conv_transpose2d.input");
  DerivedQuantizationSpec spec;
  spec.derived_from = {EdgeOrNode(input, node), EdgeOrNode(weight, node)};
  spec.derive_name = bias_derivation().name;
  if (transposed) spec.derive_name += octet::str(" for ", node->sizes().at(1), " channels");
  spec.derive_qparams = find_derivation(spec.derive_name).derive;
  spec.dtype = at::kInt;
  spec.quant_max = kInt32Max;
  if (kind == SpecKind::kConvBias) {
    spec.quant_min = kInt32Min + 1;
    spec.qscheme = at::kPerChannelSymmetric;
    spec.ch_axis = 0;
  } else {
    spec.quant_min = kInt32Min;
    spec.qscheme = at::kPerTensorAffine;
  }
  return spec;
}

}  // namespace octet::neutron
