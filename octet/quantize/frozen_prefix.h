#pragma once

#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Where the part of a prepared graph ends that no training changes any more: what stands before the first trained
/// layer, with all its parameters without gradient, BatchNorms that use the statistics they have, fake quantizers that
/// round and observe no more, and nothing that draws from the generator.
///
/// The fake quantizers, one int8 or uint8 grid each, whose results are all that the rest of the graph reads of that
/// part, in the graph's order; the inputs of the program aside, which both may read. Empty where no layer stands in
/// front of any such.
OCTET_API std::vector<const Node*> frozen_boundary(const GraphModule& prepared);

}  // namespace octet
