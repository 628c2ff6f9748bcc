#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/api.h"

namespace octet {

/// The weight of one convolution or linear of a prepared graph, its output channels along dimension 0.
struct LayerWeight {
  std::string name;
  at::Tensor weight;                ///< the parameter [channels, ...]
  std::shared_ptr<QatConvBn> pair;  ///< the layer, where a BatchNorm is joined with it; else null
  at::Tensor gamma;                 ///< of that BatchNorm; undefined: none, or not trained
  std::vector<at::Tensor> grid;     ///< what is learned of its grid, a number a channel each

  int64_t channels() const { return weight.size(0); }
};

/// Of the parameters that are trained, those that one layer alone reads, as they are or through fake quantizers, in the
/// graph's order. Not those of transposed convolutions, whose channels lie otherwise, nor those with one channel.
OCTET_API std::vector<LayerWeight> layer_weights(const GraphModule& prepared);

}  // namespace octet
