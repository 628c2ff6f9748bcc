#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/node.h"
#include "octet/targets/neutron/placement/constraint.h"
#include "octet/targets/neutron/quantization_specs.h"
#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

/// How the inputs of an operator find a spec that they share.
enum class Sharing {
  kNone,
  kFirstInput,  ///< the first argument's producer lends its parameters; where it has none, nothing is quantized
  kAnyInput,    ///< the first producer with an observed range lends it to all inputs and the output; with fixed grids
              ///< alone that differ, they get one of their own; where no producer has parameters, nothing is quantized
  kAnyInputOrOwn,  ///< the same; where none has any, inputs and output get one of their own
};

/// What an operator may be computed together with.
enum class Fusion {
  kNone,
  kActivation,                  ///< a fusable activation that alone reads it
  kActivationIfMatrix,          ///< the same where the output has at most two dimensions
  kActivationThroughBatchNorm,  ///< the same; in training also behind a BatchNorm that alone reads it
};

/// Whether the NPU's compiler drops the operator, so that a partition of such alone is empty.
enum class NoOp { kNever, kAlways, kIfIdentity };

struct InputRule {
  std::string_view argument;  ///< by its schema name; a list of tensors stands for each of its elements
  SpecKind spec = SpecKind::kActivation;
};

/// One row of the operator table: everything that quantization knows of an operator.
struct OperatorRule {
  std::vector<std::string_view> ops;  ///< the op and its in-place form
  std::vector<InputRule> inputs;
  SpecKind output = SpecKind::kActivation;
  Sharing sharing = Sharing::kNone;
  Fusion fusion = Fusion::kNone;
  bool is_activation = false;                    ///< may be computed together with the operator before it
  bool activation_needs_bounds = false;          ///< only where its clipping bounds are fusable on the target
  bool own_output_in_activation_bounds = false;  ///< at an activation's bounds the output has a range of its own
  bool drops_output_before_batch_norm = false;  ///< in training: the BatchNorm that alone reads it is quantized instead
  bool qat_only = false;
  NoOp no_op = NoOp::kNever;
  std::vector<Constraint> constraints;  ///< all must hold for the NPU to take it
  std::vector<Constraint> alone;        ///< and these where no other operator is in its partition
};

/// The operator table. A new operator is a row.
const std::vector<OperatorRule>& operator_rules();

/// The row of a node's op, or nullptr where the op stays in float. `rules` is the table or a copy in any order.
const OperatorRule* find_rule(const Node& node, const std::vector<OperatorRule>& rules = operator_rules());

/// True for an activation that the target computes together with the operator before it.
bool is_fusable_activation(const Node& node, const NeutronLimits& limits);

/// True for conv2d, addmm, mm and for linear with a matrix as result: what takes an activation with it.
bool is_fusable_compute(const Node& node);

}  // namespace octet::neutron
