#pragma once

#include <unordered_map>
#include <vector>

#include "octet/graph/graph_module.h"

/// Which nodes of a quantized program are one integer operator: an operator, the dequantize nodes in front of it, the
/// quantize nodes behind it, and what is computed in between without a grid of its own.
namespace octet::neutron {

/// The dequantize in front of a value, auxiliary nodes looked through; nullptr where it comes in float.
const Node* dequantize_behind(const Node& value);
/// The first quantize behind a value, auxiliary nodes looked through; nullptr where every reader takes it in float.
const Node* quantize_behind(const Node& value);

/// Why an operator is no quantized operator: the first value that comes in float, or the first reader that takes the
/// result in float. Both null: it is one.
struct FloatEdge {
  const Node* producer = nullptr;
  const Node* reader = nullptr;
};

class Clusters {
 public:
  explicit Clusters(const Graph& graph);

  /// The operators whose cluster holds this node: itself, or that it is quantized or computed with. Empty where none.
  const std::vector<const Node*>& owners(const Node& node) const;
  /// For an operator that is not quantized and not computed with one that is.
  FloatEdge float_edge(const Node& node) const;

 private:
  std::unordered_map<const Node*, std::vector<const Node*>> owners_;
  std::unordered_map<const Node*, FloatEdge> float_edges_;
};

}  // namespace octet::neutron
