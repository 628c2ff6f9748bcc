#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "octet/quantize/observers.h"
#include "octet/quantize/quantizer.h"
#include "octet/quantize/spec.h"
#include "octet/support/api.h"
#include "octet/targets/engine/role.h"

namespace octet::targets {

/// What finds the range of a value: per tensor or per channel, as its role is.
enum class Watch {
  kHistogram,  ///< small squared error over a histogram; per tensor alone
  kMinMax,
  kMovingAverage,
  kNothing,  ///< no range is kept: dynamic grids
};

/// Whether values are rounded to the grid while they are watched.
enum class Rounding {
  kNone,
  kFakeQuantize,  ///< a FakeQuantize around the observer
  kFused,         ///< FusedMovingAvgObsFakeQuantize; for moving averages
  kKernelGrid,    ///< KernelGridFakeQuantize, as the reference's fused one rounds; for moving averages
};

/// True for a rounding that goes with Watch::kMovingAverage alone.
bool takes_moving_averages(Rounding rounding);

struct ObserverChoice {
  Watch watch = Watch::kMinMax;
  Rounding rounding = Rounding::kNone;
  double averaging_constant = 0.01;           ///< of a moving average
  Averaging averaging = Averaging::kEachRun;  ///< of one that is kept per tensor
  bool operator==(const ObserverChoice&) const = default;
};

/// A grid known beforehand.
struct FixedGrid {
  double scale = 1.0;
  int64_t zero_point = 0;
  std::string way_out = {};  ///< what helps where values lie beyond it; for warnings, may be empty
  bool operator==(const FixedGrid&) const = default;
};

/// Blocks of a weight: neighbours along dimension 1, its input features or channels, share a grid.
struct BlockChoice {
  int64_t group = 0;  ///< how many; 0: all of them
  MappingType mapping = MappingType::kSymmetric;
  bool operator==(const BlockChoice&) const = default;
};

/// In what numbers the values of one role are quantized. At most one of `fixed`, `derived` and `dynamic`; with none of
/// them the grid is observed.
struct RoleConfig {
  at::ScalarType dtype = at::kChar;
  /// Given both or none; none: the whole range of the dtype, on which a symmetric uint8 grid has zero point 128.
  std::optional<int64_t> quant_min = {};
  std::optional<int64_t> quant_max = {};
  bool symmetric = false;
  std::optional<int64_t> zero_point = {};  ///< of a symmetric grid, in place of the dtype's own
  bool per_channel = false;
  /// In place of the dimension of the output channels, which the row names.
  std::optional<int64_t> channel_axis = {};
  std::optional<FixedGrid> fixed = {};
  bool derived = false;  ///< biases: scale = input scale * weight scale, zero point 0
  /// Of a derived bias behind a grouped transposed convolution: each of the weight's scales is repeated in its place,
  /// not all of them group by group.
  bool interleaved = false;
  /// Of a derived bias behind a weight in blocks: of each output channel the largest product, divided by this.
  std::optional<int64_t> block_levels = {};
  bool leads = false;      ///< kJoined: what is joined takes over the range that is found here, at every run
  bool dynamic = false;    ///< a grid for each run, from what the operator reads then; results have none
  bool per_token = false;  ///< dynamic: a grid for each index of all dimensions but the last
  std::optional<BlockChoice> blocks = {};  ///< weights: in torchao's operators; in place of `per_channel`
  ObserverChoice after_training = {};
  ObserverChoice in_training = {Watch::kMovingAverage, Rounding::kFakeQuantize};
  double eps = kDefaultEps;  ///< the smallest scale
  bool operator==(const RoleConfig&) const = default;
};

/// The numbers of a target, role by role. Static or dynamic, int8 or 16 bits, per tensor or per channel, weights alone,
/// float biases: each is such a config, none is code.
struct OCTET_API QuantizationConfig {
  /// A role whose entry is nullopt, or whose family has none either, stays in float.
  std::map<Role, std::optional<RoleConfig>> roles = {};
  bool quantize_inputs = true;         ///< an input of the model has a grid of its own, whoever reads it
  bool quantize_constants = false;     ///< what is computed from parameters alone is quantized as all else
  bool shares_exponentials = false;    ///< exp's result lies on its input's grid
  bool fuse_fixed_activations = true;  ///< an activation with a fixed grid is computed with the operator before it

  bool narrows_ranges = false;  ///< a grid leaves out what the value's readers flatten (reading.h)

  /// The role's numbers, or nullptr: it stays in float.
  const RoleConfig* find(Role role) const;
  /// The role whose entry serves this one: itself or its family.
  Role owner(Role role) const;
  bool operator==(const QuantizationConfig&) const = default;
};

/// Throws octet::Error naming the role: two sources of one grid, an observer that does not serve the scheme, a derived
/// grid other than a bias', or without an input and a weight that are quantized or of another granularity than the
/// weight's.
OCTET_API void check(const QuantizationConfig& config, const std::string& where);

/// Training as the reference's fused fake quantizers round, in place of the grid that is written.
OCTET_API void round_to_kernel_grids(QuantizationConfig& config);

/// The observer or, as `choice` says, the fake quantizer.
OCTET_API ObserverFactory observer(const ObserverChoice& choice, bool per_channel, double eps);

/// The spec of a role whose grid is observed, dynamic or fixed. `channel_axis`: of the output channels in this
/// argument.
OCTET_API AnySpec make_spec(const RoleConfig& numbers, int64_t channel_axis, QuantizationMode mode);

/// Why this value has no such blocks: "its 10 input features are no multiple of the group of 8". Empty where it has
/// them, and where none are asked for.
OCTET_API std::string why_no_blocks(const RoleConfig& numbers, const Node& value);

/// The spec of these numbers as it stands at a value: with the sizes of its blocks, or of its tokens.
OCTET_API AnySpec sized_for(const Node& value, AnySpec spec, const RoleConfig& numbers);

/// The spec of a derived bias of `node`, from its input and weight edges. `transposed`: the weight of a grouped
/// transposed convolution holds fewer scales than there are output channels; they are repeated as a whole, or as
/// `interleaved` says (its derivation throws octet::Error where that does not divide).
OCTET_API AnySpec make_bias_spec(const RoleConfig& numbers, Node* node, Node* input, Node* weight, bool transposed);

}  // namespace octet::targets
