#pragma once

#include "octet/graph/node.h"

namespace octet {

/// The operator that finds these places (argmax, the second of what topk gives), which are never negative; else
/// nullptr.
const Node* finder_of_places(const Node& places);

}  // namespace octet
