#pragma once

#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// What a BatchNorm keeps of the batches that it has seen: float32 [channels] each.
struct RunningStatistics {
  at::Tensor mean;
  at::Tensor variance;
};

/// Of every BatchNorm of a graph that moves such, in its order, of conv-bn pairs of a prepared one too; the tensors
/// themselves, each once.
OCTET_API std::vector<RunningStatistics> running_statistics(const GraphModule& graph);

/// While the result lives, a forward in train mode leaves the statistics of its batch alone (a momentum of 1); then the
/// momenta are as before. `graph` outlives it.
OCTET_API std::shared_ptr<void> keep_last_batch_alone(GraphModule& graph);

}  // namespace octet
