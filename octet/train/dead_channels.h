#pragma once

#include <cstdint>
#include <string>

#include "octet/graph/graph_module.h"

namespace octet {

/// Output channels of a prepared model's conv-bn pairs all of whose weights round to 0.
struct DeadChannels {
  int64_t dead = 0;
  int64_t channels = 0;
  int64_t layers = 0;  ///< that have such
  std::string worst;   ///< the layer with the most
};

/// Of the pairs that normalize by the batch, at the weights and grids of the moment: the batch's variance of such a
/// channel is 0, BatchNorm's gradient divides by sqrt(eps) in its place, and the running variance falls, so that the
/// folded weight grows and stretches a grid that others share.
DeadChannels dead_channels(const GraphModule& prepared);

/// "15 of 272 channels (in 5 layers: most in 'features.1.conv.0.0') have no weight ..."
std::string text(const DeadChannels& found);

}  // namespace octet
