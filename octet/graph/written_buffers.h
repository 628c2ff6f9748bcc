#pragma once

#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Buffers that a run writes for the next one, as they are or through views: a cache of keys, a running average.
/// Statistics of a BatchNorm aside, and whole numbers that nothing reads but what counts them on.
OCTET_API std::vector<const Node*> written_buffers(const GraphModule& module);

/// Takes out writes into such buffers that nobody reads any more in the same run, for a program that keeps nothing.
OCTET_API void drop_last_writes(GraphModule& module);

}  // namespace octet
