#pragma once

#include <cstdint>
#include <memory>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Which weights of a quantized model no rounding of the float model's gives: they were trained on.
struct TrainedWeights {
  /// Layers of which more than one weight in a hundred lies farther from the float one than half a step.
  int64_t trained = 0;
  int64_t layers = 0;  ///< that store their weights in integers and that the float model has as well
};

/// `float_model`: in eval mode; its BatchNorms may be folded or not. Weights at the ends of their grid count for
/// nothing: rounding may have cut them off. Neither model changes.
OCTET_API TrainedWeights find_trained_weights(const GraphModule& float_model, const GraphModule& quantized);

/// The quantized model with the same weights and names, and all values that it computes in float: what its grids of
/// values cost is the distance between the two.
OCTET_API std::shared_ptr<GraphModule> with_float_values(const GraphModule& quantized);

}  // namespace octet
