#include "octet/graph/memory_order.h"

#include <algorithm>

namespace octet {

bool takes_channels_last(const Graph& graph) {
  const std::vector<Node*> nodes = graph.nodes();
  return std::none_of(nodes.begin(), nodes.end(), [](const Node* node) { return node->is(Trait::kReadsByStrides); });
}

}  // namespace octet
