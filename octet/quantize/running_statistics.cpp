#include "octet/quantize/running_statistics.h"

#include <set>

#include "octet/quantize/qat_conv_bn.h"

namespace octet {
namespace {

// Of QatConvBn's inputs.
constexpr size_t kMeanOfPair = 5;
constexpr size_t kVarianceOfPair = 6;

QatConvBn* conv_bn_of(const GraphModule& graph, const Node& node) {
  return node.kind() == NodeKind::kCallModule ? dynamic_cast<QatConvBn*>(graph.callable(node.target()).get()) : nullptr;
}

bool moves_statistics(const Node& node) {
  return node.is(Trait::kBatchNorm) && node.has_arg("running_mean") && node.arg("running_mean").is_node() &&
         node.arg("running_var").is_node() && node.has_arg("momentum");
}

class LastBatchAlone {
 public:
  explicit LastBatchAlone(GraphModule& graph) {
    for (Node* node : graph.graph().nodes()) {
      if (QatConvBn* pair = conv_bn_of(graph, *node)) {
        pairs_.emplace_back(pair, pair->momentum());
        pair->set_momentum(1);
      } else if (moves_statistics(*node)) {
        nodes_.emplace_back(node, node->arg("momentum"));
        node->set_arg("momentum", Arg(1.0));
      }
    }
  }
  ~LastBatchAlone() {
    for (const auto& [pair, momentum] : pairs_) pair->set_momentum(momentum);
    for (const auto& [node, momentum] : nodes_) node->set_arg("momentum", momentum);
  }
  LastBatchAlone(const LastBatchAlone&) = delete;
  LastBatchAlone& operator=(const LastBatchAlone&) = delete;

 private:
  std::vector<std::pair<QatConvBn*, double>> pairs_;
  std::vector<std::pair<Node*, Arg>> nodes_;
};

}  // namespace

std::vector<RunningStatistics> running_statistics(const GraphModule& graph) {
  std::vector<RunningStatistics> found;
  std::set<const void*> known;
  const auto add = [&](const Node* mean, const Node* variance) {
    if (mean == nullptr || variance == nullptr || !mean->is_get_attr() || !variance->is_get_attr()) return;
    const RunningStatistics own{graph.attr(mean->target()), graph.attr(variance->target())};
    if (known.insert(own.mean.unsafeGetTensorImpl()).second) found.push_back(own);
  };
  for (const Node* node : graph.graph().nodes()) {
    if (conv_bn_of(graph, *node) != nullptr) {
      const auto input = [&](size_t index) { return index < node->args().size() ? node->arg(index).node() : nullptr; };
      add(input(kMeanOfPair), input(kVarianceOfPair));
    } else if (moves_statistics(*node)) {
      add(node->arg("running_mean").node(), node->arg("running_var").node());
    }
  }
  return found;
}

std::shared_ptr<void> keep_last_batch_alone(GraphModule& graph) { return std::make_shared<LastBatchAlone>(graph); }

}  // namespace octet
