#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include <ATen/core/Tensor.h>

#include "octet/quantize/observer.h"
#include "octet/support/api.h"

namespace octet {

/// A grid for each index of a dimension of the weight; torchao's configs take dimension 0, the output channels.
struct PerAxis {
  int64_t axis = 0;
  bool operator==(const PerAxis&) const = default;
};

/// A grid for each group of this many neighbours along the input features (of a convolution: the input channels).
struct PerGroup {
  int64_t group_size = 32;
  bool operator==(const PerGroup&) const = default;
};

using Granularity = std::variant<PerAxis, PerGroup>;

/// torchao's config of this name: weights of 1 to 8 bits, stored as int8; all else in float. For linears, embeddings
/// and two-dimensional convolutions.
struct IntxWeightOnlyConfig {
  at::ScalarType weight_dtype = at::kChar;  ///< at::ScalarType::Int1 to Int7, or at::kChar: 8 bits
  Granularity granularity = PerAxis{0};
  MappingType mapping_type = MappingType::kSymmetric;
  bool operator==(const IntxWeightOnlyConfig&) const = default;
};

/// torchao's config of this name: the same weights, and activations of int8 whose affine grid each run finds, one a
/// token (an index of all dimensions but the last). For linears.
struct Int8DynamicActivationIntxWeightConfig {
  at::ScalarType weight_dtype = at::kChar;
  Granularity weight_granularity = PerGroup{32};
  MappingType weight_mapping_type = MappingType::kSymmetric;
  bool operator==(const Int8DynamicActivationIntxWeightConfig&) const = default;
};

using IntxConfig = std::variant<IntxWeightOnlyConfig, Int8DynamicActivationIntxWeightConfig>;

namespace intx {

/// What both configs say of weights.
struct WeightChoice {
  bool dynamic = false;  ///< with activations that each run finds a grid for
  int64_t bits = 8;
  int64_t group = 0;  ///< 0: a grid for each output channel
  MappingType mapping = MappingType::kSymmetric;
};

/// Throws octet::Error naming the field: bits other than 1 to 8, an axis other than 0, a group below 1, and
/// SYMMETRIC_NO_CLIPPING_ERR with 1 bit, which has no positive level.
OCTET_API WeightChoice choice_of(const IntxConfig& config);

/// "weight-int4-group32", "dynamic-int8-channel", "weight-int4-group8-asymmetric", "dynamic-int4-group8-no-clipping":
/// a mode of target `intx`.
OCTET_API std::string mode_name(const WeightChoice& choice);
/// The inverse; nullopt for a text of another form, and for what choice_of() refuses.
OCTET_API std::optional<WeightChoice> choice_from_mode(std::string_view mode);

}  // namespace intx
}  // namespace octet
