#pragma once

#include <functional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"

/// What the passes share.
namespace octet::targets {

/// The graph's calls for which `wanted` holds, found before the graph changes.
std::vector<Node*> calls_where(const Graph& graph, const std::function<bool(const Node&)>& wanted);

/// True for a node that reads a parameter, buffer or constant.
bool is_static(const Node* node);
/// True for a static node and for an absent (None) argument.
bool is_static_or_none(const Arg& arg);

/// True for an argument of which the node reads the type alone (new_zeros).
bool reads_type_alone(const Node& node, const Node& input);

/// The one node that reads `node`, or nullptr.
Node* only_user(const Node& node);

/// A call at the graph's insert point whose value has these sizes and the type of `like`; notes (module path) come from
/// `like`.
Node* add_call(const std::string& op, std::vector<Arg> args, const std::vector<int64_t>& sizes, const Node& like,
               const std::string& name = "");

/// A new tensor of the module and the node that reads it, at the graph's insert point. `base` is made unique.
Node* add_attr(GraphModule& module, const std::string& base, const at::Tensor& value, AttrKind kind);

/// `x` with these sizes, at the graph's insert point; `x` itself where it has them. The size of dimension `open` is
/// left to follow from the others, so that a batch in it stays free.
Node* add_reshape(Node* x, std::vector<int64_t> sizes, size_t open, const Node& like);
/// `x` with its dimensions in this order; `x` itself where they are.
Node* add_permute(Node* x, const std::vector<int64_t>& order, const Node& like);
/// Every `step`-th element of `x` in [begin, end) of a dimension, at the graph's insert point; `x` itself where that is
/// all.
Node* add_slice(Node* x, int64_t dim, int64_t begin, int64_t end, const Node& like, int64_t step = 1);
/// `x` with its last two dimensions swapped.
Node* add_matrix_transpose(Node* x, const Node& like);
/// `x` times a constant; `x` itself where that is 1.
Node* add_scaled(GraphModule& module, Node* x, double factor, const Node& like);

/// All nodes read `replacement` instead of `node`, which is erased.
void replace_node(Node* node, Node* replacement);
/// The same where the replacement is made of new nodes: the last of them counts as the float model's `node`.
void replace_by_parts(Node* node, Node* replacement);

/// True for an operator that writes nothing, and for one in place whose write nobody sees: no reader behind it, no
/// input and no tensor of the module. An operator that gives a new value may stand in its place.
bool may_be_replaced(const Node& node);

/// The weight of a convolution with `from` groups, [out, in / from, ...], as that of one with `to` groups, which divide
/// `from`: [out, in / to, ...], zero between what was apart.
at::Tensor with_groups(const at::Tensor& weight, int64_t from, int64_t to);

/// `dim` counted from the front.
int64_t positive_dim(int64_t dim, int64_t rank);

/// The notes of a node without what quantizers wrote.
void copy_notes(const Node& from, Node& to);

}  // namespace octet::targets
