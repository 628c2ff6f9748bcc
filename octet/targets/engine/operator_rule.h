#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octet/graph/node.h"
#include "octet/lowering/clip.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/constraint.h"
#include "octet/targets/engine/role.h"

namespace octet::targets {

/// How the inputs of an operator find a spec that they share.
enum class Sharing {
  kNone,
  kFirstInput,  ///< the first argument's producer lends its parameters; where it has none, nothing is quantized. Where
                ///< they are fixed and the result leaves their range, input and output are observed together instead
  kAnyInput,    ///< the first producer with an observed range lends it to all inputs and the output; with fixed grids
              ///< alone that differ, they get one of their own; where no producer has parameters, nothing is quantized
  kAnyInputOrOwn,    ///< the same; where none has any, inputs and output get one of their own
  kFirstInputOrOwn,  ///< as kFirstInput; where the producer has none, input and output get one of their own
  kOwn,              ///< inputs and results, several too, get one of their own
  kJoining,  ///< each input has its own grid or shares its producer's, and the result leads them (RoleConfig::leads)
};

/// What an operator may be computed together with.
enum class Fusion {
  kNone,
  kActivation,                  ///< an activation that alone reads it
  kActivationIfMatrix,          ///< the same where the output has at most two dimensions
  kActivationThroughBatchNorm,  ///< the same; in training also behind a BatchNorm that alone reads it
};

/// Whether the target's compiler drops the operator, so that a partition of such alone is empty.
enum class NoOp { kNever, kAlways, kIfIdentity, kIfOneInput };

struct InputRule {
  std::string_view argument;  ///< by its schema name; a list of tensors stands for each of its elements
  Role role = Role::kActivation;
  int64_t channel_axis = 0;  ///< of a weight: the dimension of its output channels
};

/// What the node reads in the argument of this input rule: one node, the elements of a list, or none.
std::vector<Node*> producers(const Node& node, const InputRule& input);

/// One row of a target's operator table: everything that quantization and placement know of an operator.
struct OCTET_API OperatorRule {
  /// The op and its in-place form. "getitem": an element of a result that no row speaks of.
  std::vector<std::string_view> ops;
  std::vector<InputRule> inputs;
  Role output = Role::kActivation;
  Sharing sharing = Sharing::kNone;
  bool may_share_input =
      false;                  ///< shares its input's grid under a config with `shares_exponentials`, else has its own
  bool leaves_range = false;  ///< of a shared grid: the result may lie beyond what the input can hold (neg, sum)
  Fusion fusion = Fusion::kNone;
  bool is_activation = false;                   ///< may be computed together with the operator before it
  std::vector<ActivationBounds> fuses_at = {};  ///< and that at these clipping bounds alone; empty: wherever it clips
  std::vector<ActivationBounds> own_output_at = {};  ///< at these clipping bounds the output has a range of its own
  bool reads_floats = false;  ///< the inputs are quantized where they are floats, whatever the result is (comparisons)
  bool drops_output_before_batch_norm = false;  ///< in training: the BatchNorm that alone reads it is quantized instead
  bool qat_only = false;
  NoOp no_op = NoOp::kNever;
  std::vector<Constraint> constraints = {};  ///< all must hold for the target to take it
  std::vector<Constraint> alone = {};        ///< and these where no other operator is in its partition

  /// True where an argument is a weight.
  bool has_weight() const;
};

/// The rows of a target, found by op.
class OCTET_API RuleTable {
 public:
  RuleTable() = default;
  /// Of two rows for one op the first serves.
  RuleTable(std::vector<OperatorRule> rows);

  const std::vector<OperatorRule>& rows() const { return rows_; }
  /// The row of a node's op, or nullptr where the op stays in float.
  const OperatorRule* find(const Node& node) const;
  const OperatorRule* find(OpName op) const;
  /// True for an activation that the target computes together with the operator before it.
  bool is_fusable_activation(const Node& node) const;

 private:
  std::vector<OperatorRule> rows_;
  std::unordered_map<uint64_t, size_t> row_of_;  // by the number of the op's name
};

/// True where the node's clipping bounds are one of these.
OCTET_API bool clips_at(const Node& node, const std::vector<ActivationBounds>& bounds);

/// "(0, 6), (0, inf)"
OCTET_API std::string text(const std::vector<ActivationBounds>& bounds);

}  // namespace octet::targets
