#pragma once

#include "octet/graph/graph.h"
#include "octet/support/api.h"

namespace octet {

/// True where a graph gives on images whose memory lies in channels last what it gives on the same images in rows, up
/// to the order of float sums: where nothing reads memory by strides that were right for rows. Views are none of that:
/// GraphModule::run makes them of a copy where the memory does not allow them.
OCTET_API bool takes_channels_last(const Graph& graph);

}  // namespace octet
