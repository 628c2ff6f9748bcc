#pragma once

#include "octet/support/api.h"

namespace octet::targets {

/// What a value is to the operator that reads or gives it. A row of a target's table names roles; the target's
/// QuantizationConfig says in what numbers a role is quantized. A role without an entry there takes its family's.
enum class Role {
  kActivation,      ///< a value that the program computes, or its input
  kProductOperand,  ///< an operand of a matrix product of two computed values
  kSecondFactor,    ///< the second of them, where the target wants it in other numbers than the first
  kConvActivation,  ///< what a convolution or linear reads and gives
  kJoined,          ///< a concatenation's result
  kHalf,            ///< an operand of a product element by element: within -0.5 .. 0.5, if the target fixes it
  kNonNegative,     ///< a result that is never negative, on an observed grid: relu, sigmoid
  kUnit,            ///< a result within 0 .. 1: sigmoid, softmax
  kSignedUnit,      ///< a result within -1 .. 1: tanh

  kWeight,
  kConvWeight,
  kTransposedConvWeight,
  kLinearWeight,
  kSlopes,  ///< of prelu
  kBatchNormWeight,
  kLayerNormWeight,

  kBias,
  kConvBias,
  kLinearBias,

  kShared,  ///< on the grid of another edge or output
  kFloat,   ///< stays as it is
};

/// kActivation, kWeight, kBias, kShared or kFloat.
OCTET_API Role family(Role role);
/// "activation", "weight of a convolution", ...: for messages.
OCTET_API const char* text(Role role);

}  // namespace octet::targets
