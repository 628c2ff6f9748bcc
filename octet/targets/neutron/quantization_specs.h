#pragma once

#include "octet/graph/node.h"
#include "octet/quantize/spec.h"

namespace octet::neutron {

/// The smallest scale of an activation.
inline constexpr double kActivationEps = 0x1p-12;

/// The kinds of specs that the rules name. Numbers: int8 but for biases.
enum class SpecKind {
  kNone,              ///< stays as it is
  kActivation,        ///< -128..127, per-tensor affine, observed; eps 2^-12
  kWeight,            ///< -127..127, per-tensor symmetric
  kConvWeight,        ///< -127..127, per output channel (dimension 0), symmetric
  kTransposedWeight,  ///< the same for transposed convolutions (dimension 1)
  kProduct,           ///< -127..127, per-tensor symmetric: matrix products want zero point 0
  kHalf,              ///< fixed 1/256, 0: an input of mul, saturating beyond -0.5 .. 0.496
  kUnit,              ///< fixed 1/256, -128: 0 .. 0.996
  kSignedUnit,        ///< fixed 1/128, 0: -1 .. 0.992
  kConvBias,          ///< int32 per channel, scale = input * weight
  kLinearBias,        ///< int32 per tensor, scale = input * weight
  kShared,            ///< the parameters of another edge or output
};
/// "activation", "conv weight", ...: for tables and messages.
const char* text(SpecKind kind);

/// The spec of every kind but biases and kShared, with the observers of post-training quantization or the fake
/// quantizers of quantization-aware training.
AnySpec make_spec(SpecKind kind, bool is_qat);

/// An int32 bias of `node`, derived from its input and weight edges. The weight's scales are repeated as a whole where
/// a grouped transposed convolution has fewer of them than output channels; throws octet::Error where that does not
/// divide.
AnySpec make_bias_spec(SpecKind kind, Node* node, Node* input, Node* weight);

}  // namespace octet::neutron
