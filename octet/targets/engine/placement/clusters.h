#pragma once

#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "octet/graph/graph_module.h"

/// Which nodes of a quantized program are one integer operator: an operator, the dequantize nodes in front of it, the
/// quantize nodes behind it, and what is computed in between without a grid of its own.
namespace octet::targets {

/// Why an operator is no quantized operator: the first value that comes in float, or the first reader that takes the
/// result in float. Both null: it is one.
struct FloatEdge {
  const Node* producer = nullptr;
  const Node* reader = nullptr;
};

class Clusters {
 public:
  /// Looks at each node once, in graph order and against it.
  explicit Clusters(const Graph& graph);

  /// The operators that an operator is computed with: the first whose cluster holds it, and itself where it has one of
  /// its own. Empty where none.
  std::vector<const Node*> owners(const Node& node) const;
  /// For an operator that is not quantized and not computed with one that is.
  FloatEdge float_edge(const Node& node) const;
  /// All nodes of the clusters of those operators for which `stands` holds.
  std::unordered_set<const Node*> nodes_of(const std::function<bool(const Node&)>& stands) const;

  /// The dequantize in front of a value, auxiliary nodes looked through; nullptr where it comes in float.
  const Node* dequantize_behind(const Node& value) const { return facts_.at(&value).dequantize; }
  /// The first quantize behind a value, auxiliary nodes looked through; nullptr where every reader takes it in float.
  const Node* quantize_behind(const Node& value) const { return facts_.at(&value).quantize; }

 private:
  struct Facts {
    bool auxiliary = false;
    const Node* dequantize = nullptr;
    const Node* quantize = nullptr;
    FloatEdge edge;                      // of what would be its cluster
    bool quantized = false;              // an operator with a cluster of its own
    const Node* first_front = nullptr;   // the first quantized operator in front of it, auxiliary nodes looked through
    const Node* first_behind = nullptr;  // the same behind it
  };

  void look_forward(const Node& node);
  void look_back(const Node& node);

  std::vector<Node*> nodes_;
  std::unordered_map<const Node*, Facts> facts_;
};

}  // namespace octet::targets
