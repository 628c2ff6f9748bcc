#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "octet/graph/graph_module.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/spec.h"

namespace octet {

class QatConvBn;

/// Puts one structural node in the place of each convolution and BatchNorm pair whose weight is quantized. Works on the
/// annotated graph: specs of both nodes move to the new one, and specs of other nodes that refer to them are pointed at
/// it.
class QatRewrite {
 public:
  using FindObserver = std::function<std::shared_ptr<ObserverBase>(const EdgeOrNode&)>;

  /// `rounds_folded_biases`, `joins_batch_norms`: as the quantizer says of itself.
  explicit QatRewrite(bool rounds_folded_biases, bool joins_batch_norms = true)
      : rounds_folded_biases_(rounds_folded_biases), joins_batch_norms_(joins_batch_norms) {}
  void run(GraphModule& module);
  bool is_rewritten(const Node* node) const { return inside_.count(node) > 0; }
  /// True for weight and bias of a structural node: their fake quantizers live inside its module.
  bool keeps_inside(const Node* consumer, const Node* producer) const;
  /// Makes the module of a structural node and gives it its fake quantizers. A bias without a spec is derived from
  /// input and weight where folded biases are rounded, so that the bias that the fold creates ends up as int32 too.
  void attach(GraphModule& module, Node* node, const FindObserver& find) const;

 private:
  Node* rewrite(GraphModule& module, const ConvBatchNorm& pair);

  bool rounds_folded_biases_;
  bool joins_batch_norms_;
  std::unordered_map<const Node*, std::unordered_set<const Node*>> inside_;  // structural node -> its weight and bias
};

/// Puts the one convolution with folded weight and bias in the place of a structural node. `round` gives what stands
/// for the weight's and the bias's fake quantizer: it takes the get_attr node and the quantizer, and makes its nodes in
/// front of the convolution.
void put_folded_convolution(GraphModule& module, Node* structural, const QatConvBn& simulated,
                            const std::function<Node*(Node* value, ObserverBase& quantizer)>& round);

/// int32 on the accumulator's grid, input scale * weight scale: per channel where the weight is. nullptr where input or
/// weight has no 8-bit grid known before the run.
std::shared_ptr<ObserverBase> default_bias_fake_quant(const std::shared_ptr<ObserverBase>& input,
                                                      const std::shared_ptr<ObserverBase>& weight,
                                                      const ConvInfo& info);

}  // namespace octet
