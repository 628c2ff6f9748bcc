#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "octet/support/api.h"

namespace torch::nn {
class Module;
}

namespace octet {

class GraphModule;

/// A convolution or linear of a program whose BatchNorms are folded into it: weight as torch has it, bias [channels],
/// undefined where there is none.
struct FoldedLayer {
  std::string name;
  at::Tensor weight;
  at::Tensor bias;
};

/// Of every conv2d and linear of a float program, in its order. Throws octet::Error naming one whose weight it
/// computes.
OCTET_API std::vector<FoldedLayer> folded_layers(const GraphModule& program);

/// Copies the layers of a folded program into a model with BatchNorms: each convolution and linear of the model, in the
/// order of its modules, takes the first layer left whose weight has its sizes; each BatchNorm becomes the identity
/// (mean 0, variance 1, weight sqrt(1 + eps)), with the bias of a convolution that has none of its own. Its statistics
/// are thus no data's: in train mode it normalizes by the batch's. Throws octet::Error that begins with `where` and
/// names the module that finds no layer, or the layer that is left over; then nothing is written.
OCTET_API void load_folded(torch::nn::Module& model, const std::vector<FoldedLayer>& layers, const std::string& where);

}  // namespace octet
