#pragma once

#include "octet/support/api.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet {

/// The grid of what mul reads, and of what exp gives.
enum class MulRange {
  kObserved,   ///< an observed range, as of any activation
  kReference,  ///< as in the reference. mul's, fixed: scale 1/256, zero point 0, saturates beyond -0.5 .. 0.496. exp's:
               ///< that of its input
};

/// The grid of what sigmoid and tanh read of the convolution or product before them.
enum class SigmoidInput {
  kObserved,   ///< an observed range: the two are quantized apart
  kReference,  ///< none, as in the reference: the two are quantized as one. Its lowering then puts the sigmoid's own
               ///< grid, 0 .. 1, between them, and everything below 0 is lost
};

/// What becomes of gelu, which the NPU has not.
enum class Gelu {
  kFloat,    ///< it stays, on the CPU
  kSigmoid,  ///< x * sigmoid(1.702 x), up to 0.021 beside it
  kTanh,     ///< its tanh form, in four operators more
};

/// How the ranges of training are found.
enum class QatRanges {
  kJoint,      ///< calibrate() starts them from all samples, and values that share a grid are averaged as one
  kReference,  ///< the first range, then a hundredth of the way to each that comes, as in the reference
};

/// What can be chosen of a NeutronQuantizer.
struct NeutronOptions {
  std::string target = "imxrt700";
  bool is_qat = false;
  MulRange mul_range = MulRange::kObserved;
  SigmoidInput sigmoid_input = SigmoidInput::kObserved;
  Gelu gelu = Gelu::kFloat;
  bool integer_norms = false;  ///< layer_norm and its kin run on the NPU, of several operators
  bool unroll_rnn = false;     ///< lstm, gru and rnn are written out step by step, for the length of the example
  std::vector<std::string> without_passes = {};  ///< rewrites of the float graph to leave out, by name
  QatRanges qat_ranges = QatRanges::kJoint;
  /// Later ones win over earlier ones, setting by setting.
  std::vector<targets::Override> overrides;
};

/// Quantizes for NXP's Neutron NPU: int8 activations per tensor, int8 weights (convolutions per channel), int32 biases.
///
///     NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
///     auto prepared = prepare_qat_pt2e(model, quantizer);
///
/// Operators are matched by op and structure; what no rule knows stays in float. The result depends neither on the
/// order of the rules nor on what the object quantized before.
class OCTET_API NeutronQuantizer : public targets::TableQuantizer {
 public:
  explicit NeutronQuantizer(const NeutronTargetSpec& target, bool is_qat = false);
  /// The same with another table, for a caller that adds or leaves out operators.
  NeutronQuantizer(const NeutronTargetSpec& target, bool is_qat, std::vector<targets::OperatorRule> rules);
  /// With choices of the caller's. Throws octet::Error naming the setting: an unknown target, and what
  /// targets::check_overrides() refuses.
  explicit NeutronQuantizer(const NeutronOptions& options);
};

}  // namespace octet
