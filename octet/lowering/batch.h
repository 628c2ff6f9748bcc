#pragma once

#include <unordered_set>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Batch is free: after this the program runs at any size of dimension 0 of its inputs, whatever it was exported with.
///
/// Baked sizes (`view(1, 1280)`, `expand(1, -1, 64)`, `zeros([2, 1, 20])`) are rewritten to follow dimension 0, and
/// where the program holds more than operators that keep the batch apart by themselves, it is run once at a second
/// batch size and every value's shape compared with that of the first. Placeholders need their meta; other metas are
/// filled where missing and stay those of the example batch. Throws octet::Error naming the node where the batch cannot
/// be followed; the graph may be partly rewritten then, which never changes what it computes at the example batch.
OCTET_API void make_batch_flexible(GraphModule& module);

/// Sizes that the program reads from its values become numbers, those of the metas: for what runs at one batch alone.
OCTET_API void settle_sizes(GraphModule& module);

/// The values that depend on an input which carries the batch.
using Followers = std::unordered_set<const Node*>;

/// True where an operator works on each sample of dimension 0 alone, at any number of them.
using SamplesRule = bool (*)(const Node& node, const Followers& followers);

/// The rules that rows of the table of operators name (rule.cpp).
namespace lowering::samples {

OCTET_API bool apart(const Node& node, const Followers& followers);  ///< always
OCTET_API bool broadcast(const Node& node,
                         const Followers& followers);  ///< element by element, of inputs that broadcast
OCTET_API bool along_dim(const Node& node, const Followers& followers);  ///< where `dim` is another dimension
OCTET_API bool joined(const Node& node, const Followers& followers);     ///< the same, and every input has the batch
OCTET_API bool from_dim(const Node& node, const Followers& followers);   ///< where `start_dim` is another dimension
OCTET_API bool over_dims(const Node& node, const Followers& followers);  ///< where `dim` lists others only

}  // namespace lowering::samples

}  // namespace octet
