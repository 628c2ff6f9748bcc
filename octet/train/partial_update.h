#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace torch::optim {
class Optimizer;
}

namespace octet {

/// Among what the share is taken.
enum class UpdateScope {
  kLayer,       ///< the channels of each layer by themselves (EfQAT's CWPL)
  kNetwork,     ///< those of all layers together (CWPN)
  kWholeLayers  ///< whole layers, as long as their channels are no more than the share; the first in any case (LWPN)
};

/// "layer", "network", "whole-layers"; throws octet::Error listing them otherwise.
OCTET_API UpdateScope update_scope(const std::string& name);

struct PartialUpdateOptions {
  double share = 1;  ///< of output channels whose weights are trained, over 0; 1: all
  UpdateScope scope = UpdateScope::kLayer;
  int64_t every = 64;  ///< steps behind which they are chosen anew
};

/// Trains a share of the output channels of convolutions and linears, those that weigh most: with the greatest mean of
/// |w| (EfQAT: Ashkboos and others, "An Efficient Framework for Quantization-Aware Training", 2024). The others rest:
/// their weight's gradient is not computed by the kernels of fused steps, and zero where other operators compute it;
/// neither weight decay nor momentum moves them, and what an optimizer has gathered of them stands still. Biases,
/// BatchNorms, activations' ranges and whatever layer_weights() leaves out are trained as ever.
class OCTET_API PartialUpdate {
 public:
  /// All channels are trained until choose(). `prepared` outlives it. Throws octet::Error for a share out of its
  /// bounds, `every` below 1, or a graph with nothing to choose from.
  PartialUpdate(GraphModule& prepared, const PartialUpdateOptions& options);
  /// All channels are trained again.
  ~PartialUpdate();
  PartialUpdate(const PartialUpdate&) = delete;
  PartialUpdate& operator=(const PartialUpdate&) = delete;

  /// By the weights as they are: the same weights give the same choice, of equal channels the first ones.
  void choose();
  /// Behind so many steps, choose() is due.
  bool is_due(int64_t steps) const { return steps % options_.every == 0; }
  /// A step of the optimizer, which leaves alone what rests.
  void step(torch::optim::Optimizer& optimizer);

  /// What is trained of each weight, "trained_channels/NAME": uint8 [channels], 1 for those.
  std::map<std::string, at::Tensor> state() const;
  /// The reverse: takes its own out of `all`. Throws octet::Error that begins with `where` for what is missing or of
  /// another size.
  void take_state(std::map<std::string, at::Tensor>& all, const std::string& where);

  int64_t trained_channels() const;
  int64_t all_channels() const;
  size_t layers() const;

 private:
  struct Layer;
  void set(Layer& layer, const at::Tensor& is_trained);

  PartialUpdateOptions options_;
  std::vector<std::shared_ptr<Layer>> layers_;
};

}  // namespace octet
