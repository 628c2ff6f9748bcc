#pragma once

#include <functional>

#include "octet/graph/graph_module.h"

/// Rewrites of the float graph, a file each, of which a target takes those that its compiler wants. Every one leaves
/// the results of the graph as they are, is idempotent, sets shape and type of the nodes it makes, and returns whether
/// it changed anything.
namespace octet::targets {

/// A 2-D pool over [C, H, W] becomes reshape to [1, C, H, W], pool, reshape back.
bool add_batch_to_pools(GraphModule& module);

/// split, split_with_sizes and chunk become one slice for each chunk that is read; a split into one chunk vanishes.
/// Declined where the pieces are read other than one by one.
bool decompose_splits(GraphModule& module);

/// A convolution with `least` to `most` groups becomes slices of the input, a convolution each, and a concatenation.
/// Declined for depthwise ones (groups = input channels = output channels), for transposed ones, and where weight or
/// bias is computed. A 1-D convolution waits until convert_conv1d_to_conv2d made it a 2-D one.
bool split_group_convolutions(GraphModule& module, int64_t least, int64_t most);

/// A GRU of several layers becomes a chain of one-layer ones. Declined where dropout between layers is active.
bool split_gru_layers(GraphModule& module);

/// A computation on constants alone becomes a constant. Declined for random and mutating ops, and for tensors that
/// another node writes. Where `keep_shared`, parameters are to be trained through what is computed from them: only a
/// parameter that is moved (a view, permute, ...) for one reader becomes the moved one.
bool fold_known_outputs(GraphModule& module, bool keep_shared);

/// linear(x) + constant[out_features] becomes a linear with that bias. Declined where the linear has other readers or
/// is the second operand, and for other shapes.
bool fuse_linear_and_add(GraphModule& module);

/// cat(convolutions) -> activation becomes cat(convolution -> activation, ...), so that each is computed with its
/// convolution: the parts are those for which `takes` holds, the activations those for which `joins` does. Declined
/// where a part has other readers.
bool move_activations_before_concat(GraphModule& module, const std::function<bool(const Node&)>& takes,
                                    const std::function<bool(const Node&)>& joins);

/// x / constant becomes x * (1 / constant). Declined where an element is within 1e-12 of zero.
bool convert_div_to_mul(GraphModule& module);

/// conv1d and conv_transpose1d become unsqueeze, 2-D convolution, squeeze; a BatchNorm and an activation behind, for
/// which `joins` holds, stay beside the convolution. Declined where weight or bias is computed from more than
/// parameters, and for inputs without a batch.
bool convert_conv1d_to_conv2d(GraphModule& module, const std::function<bool(const Node&)>& joins);

/// Numbers in add, sub, mul and their in-place forms (and the .Scalar forms of these) become constants of the module.
bool convert_scalars_to_attributes(GraphModule& module);

/// BatchNorm behind a convolution, a transposed one, or a linear with a matrix as result, that it alone reads, goes
/// into weight and bias. Declined in train mode.
bool fuse_batch_norms(GraphModule& module);

}  // namespace octet::targets
