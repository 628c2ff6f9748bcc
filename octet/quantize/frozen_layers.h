#pragma once

#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// What freeze_layers() found.
struct FrozenLayers {
  std::vector<std::string> parameters;  ///< by name, those that are trained no more
  int64_t layers = 0;                   ///< convolutions and linears among their readers,
  int64_t all_layers = 0;               ///< and those of the whole graph
};

/// Leaves layers as they are while the rest of a float or prepared graph is trained: their parameters ask for no
/// gradient, and their BatchNorms, those of simulated pairs too, keep and use the statistics that they have. What
/// stands before the first trained layer leaves no record for a backward pass.
///
/// `which`: a share of the convolutions and linears from the network's begin, 0 < share < 1 ("0.5": the first half,
/// rounded down), with all that stands before the next one; or names of parameters or of the modules that they are
/// parts of, separated by commas ("features.0,features.1"). Throws octet::Error for a share out of these bounds, names
/// that select nothing, and where nothing would be left to train.
OCTET_API FrozenLayers freeze_layers(GraphModule& module, const std::string& which);

/// Afterwards: these parameters are trained again. Statistics stay as they are held.
OCTET_API void unfreeze_layers(GraphModule& module, const FrozenLayers& frozen);

/// The statistics of one BatchNorm node, whatever train() says of the others. Nothing on other nodes.
void hold_batch_norm(Node& node, bool on);

}  // namespace octet
