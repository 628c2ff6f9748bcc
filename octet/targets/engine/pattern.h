#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/lowering/clip.h"
#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/quantization_config.h"

/// Targets whose quantizers try patterns in order, each along the whole graph: what an earlier one annotated, a later
/// one leaves alone.
namespace octet::targets {

/// An operator that a pattern takes in behind its own: it alone reads what stands before it.
struct PatternActivation {
  std::vector<std::string_view> ops;
  Role output = Role::kActivation;             ///< of the result
  std::vector<ActivationBounds> only_at = {};  ///< the role holds at these clipping bounds alone; at others the
                                               ///< pattern's own does. Empty: everywhere
};

/// How inputs and output of a pattern find a grid that they share.
enum class PatternSharing {
  kNone,           ///< each has one of its own
  kProducer,       ///< the first argument's producer lends its own to input and output; where it has none, nothing is
                   ///< quantized
  kProducerOrOwn,  ///< the same; where it has none, the input has one of its own, and shares it with the output
  kInputs,         ///< all inputs and the output have that of one input: the first that comes, through operators of
                   ///< sharing patterns, from a value with a grid; else the first
};

/// Where the activations that a pattern reads take their spec from.
enum class InputSpec {
  kOwn,         ///< its role's
  kOfProducer,  ///< the output spec of a producer that was annotated before, as it is: none means float; else its
                ///< role's
};

/// What a pattern's conditions look at.
struct PatternSubject {
  const GraphModule& module;
  const Node& node;                  ///< the operator that the pattern starts at
  const QuantizationConfig& config;  ///< of the scope
  QuantizationMode mode = QuantizationMode::kPtq;
  /// True for what stays in float by the user's choice: no pattern takes it in.
  std::function<bool(const Node&)> left_in_float;

  /// True where activations get their grid in each run.
  bool is_dynamic() const;
};

/// Empty where it holds, else why not: "groups: expected 1, got 2".
using PatternCondition = std::function<std::string(const PatternSubject&)>;

/// One pattern of a target: an operator with what is taken in behind it, and the specs of their edges. The specs of
/// inputs go to the operator, that of the result to the last node. Nothing is annotated where one of these nodes, or
/// of the weights and biases that it reads, is annotated already.
struct OCTET_API QuantizationPattern {
  std::string name;                   ///< "conv_relu"
  std::vector<std::string_view> ops;  ///< that it may start at
  std::vector<InputRule> inputs;
  Role output = Role::kActivation;
  bool batch_norm = false;  ///< a BatchNorm that alone reads the operator, and is trained as one with it, belongs to it
  bool trains_batch_norm = true;  ///< as one with the operator; false: it stays an operator between, in float
  std::vector<PatternActivation> activations = {};  ///< one of them must follow; empty: none is taken in
  PatternSharing sharing = PatternSharing::kNone;
  InputSpec input_spec = InputSpec::kOwn;
  bool claims_parameters = true;  ///< a weight or bias that an earlier pattern annotated is a reason to leave it
  bool qat_only = false;
  bool serves_dynamic = false;  ///< tried where activations are dynamic
  std::vector<PatternCondition> conditions = {};
};

/// Patterns that are tried in one walk: at each node the first that fits serves.
using PatternStage = std::vector<QuantizationPattern>;

/// A target's patterns, stage after stage.
struct PatternTable {
  std::vector<PatternStage> stages;
  /// One walk after all scopes, over the whole graph, whatever was chosen: what passes grids on.
  PatternStage propagation = {};
  bool empty() const { return stages.empty() && propagation.empty(); }
};

/// Numbers for some of a model's operators. Scopes are worked off in order, all stages each.
struct PatternScope {
  std::function<bool(const Node&)> holds;    ///< asked about the operator that a pattern starts at
  std::optional<QuantizationConfig> config;  ///< nullopt: they stay in float
  /// Of a pattern: whether it is tried in this scope. Empty: all are.
  std::function<bool(const QuantizationPattern&)> tries = {};
};

}  // namespace octet::targets
