#pragma once

#include <functional>
#include <unordered_set>

#include "octet/graph/graph_module.h"

namespace octet::targets {

/// What div and its kin divide by; what reciprocal, rsqrt, log, sqrt and powers of negative exponents read. nullptr of
/// other operators.
Node* divisor_of(const Node& node);

/// The values that a division in float depends on near 0: what div and its kin divide by, what reciprocal, rsqrt, log,
/// sqrt and powers of negative exponents read, of operators for which `stays_in_float` holds. On an integer grid all
/// that lies within half a step of 0 is 0, a guard such as `x + 1e-5` too, and the quotient is infinite, NaN, or beyond
/// what any grid holds: such values are computed in float with what they are for. Looks through what only moves them,
/// through guards, through what gives 0 for 0 (abs, neg, sqrt, products with a constant), through sums of squares,
/// whose range an int8 grid does not span, and through products of matrices to the products and sums that they read.
std::unordered_set<const Node*> float_divisors(const GraphModule& module,
                                               const std::function<bool(const Node&)>& stays_in_float);

/// The values that sin and cos for which `stays_in_float` holds read, where a scaling, a sum or a product of matrices
/// without weights gives them, those which these scale and move, and inputs that nothing else reads: of the angles of a
/// hundred turns (a position times its frequency) a grid of 256 levels does not tell where in its turn each stands.
std::unordered_set<const Node*> float_angles(const GraphModule& module,
                                             const std::function<bool(const Node&)>& stays_in_float);

}  // namespace octet::targets
