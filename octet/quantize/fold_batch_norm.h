#pragma once

#include <optional>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/kernels/convolution.h"

namespace octet {

/// What a convolution or linear node is, as far as folding a BatchNorm into it needs to know. Its arguments 0, 1 and 2
/// are input, weight and bias.
struct ConvInfo {
  bool is_linear = false;
  bool is_transposed = false;  ///< weight is [in, out/groups, ...], otherwise [out, in/groups, ...]
  int64_t groups = 1;

  /// The axis of the weight that output channels run along (within a group, for transposed ones).
  int64_t weight_axis() const { return is_transposed ? 1 : 0; }
};

/// nullopt for every other node. Knows conv1d/2d/3d with numbers or a string for padding, conv_transpose1d/2d/3d,
/// convolution, and linear.
std::optional<ConvInfo> conv_info(const Node& node);
/// The same of a call of `op` with these arguments, of which the first three may be anything.
std::optional<ConvInfo> conv_info(const Op& op, const std::vector<c10::IValue>& arguments);

/// The numbers of a call of a 2-D convolution, where padding is given as numbers and nothing is transposed; else
/// nullopt.
std::optional<ConvGeometry> conv_geometry(const Op& op, const std::vector<c10::IValue>& arguments);

/// A convolution (or linear with a 2-D output) whose only reader is a BatchNorm with running statistics. Weight and
/// bias are tensors of the module, or computed from such alone.
struct ConvBatchNorm {
  Node* conv;
  Node* batch_norm;
  Node* value;  ///< what the rest of the graph reads: batch_norm itself, or element 0 of the tuple it gives
  ConvInfo info;

  double eps() const;
  double momentum() const;
  /// True where the node normalizes with the batch's own statistics.
  bool training() const;
};
std::vector<ConvBatchNorm> find_conv_batch_norms(Graph& graph);

/// The value of an argument that reads a tensor of the module, or what is computed from such alone; undefined for None.
at::Tensor static_value(const GraphModule& module, const Arg& arg);

// The fold, per output channel: factor f = gamma / sqrt(var + eps), weight W * f, bias (b - mean) * f + beta.
// Undefined gamma, beta and b stand for 1, 0 and 0. Differentiable.
at::Tensor batch_norm_factor(const at::Tensor& gamma, const at::Tensor& running_var, double eps);
at::Tensor scale_weight(const at::Tensor& weight, const at::Tensor& factor, const ConvInfo& info);
at::Tensor fold_bias(const at::Tensor& bias, const at::Tensor& beta, const at::Tensor& running_mean,
                     const at::Tensor& factor);

/// Folds every BatchNorm behind a convolution into its weight and bias, for inference. A weight that others read too is
/// cloned first. Pairs in train mode are left alone, with a warning. Returns how many were folded.
size_t fold_batch_norms(GraphModule& module);

/// Puts `folded_weight` and `folded_bias` in the place of the convolution's own, under its own names where nobody else
/// reads them.
void set_folded_parameters(GraphModule& module, Node* conv, const at::Tensor& folded_weight,
                           const at::Tensor& folded_bias);

/// Removes the counters of training steps (`num_batches_tracked += 1`), which no inference needs.
void drop_batch_counters(Graph& graph, const GraphModule& module);

}  // namespace octet
