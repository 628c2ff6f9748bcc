#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/observer.h"
#include "octet/support/api.h"

/// Room in int32 accumulators. A product sums weight levels times input levels onto its bias, so that with a weight
/// scale s, and `reach` the farthest that an input level lies from its zero point,
///
///     |bias| / (input scale * s) + sum of |weight| / s * reach  <=  2^31 - 1
///
/// must hold, or the sum wraps around: channels that training switched off have tiny weights and large biases. Where an
/// observed weight scale is too small for that it is enlarged: the weights of such a channel lose levels that are
/// nothing beside its bias.
namespace octet {

/// How the elements of a weight belong to output channels.
struct ProductLayout {
  bool is_matrix = false;  ///< [..., sum, channel]: mm, bmm. Else a channel is an index of `axis`
  int64_t axis = 0;
  int64_t groups = 1;  ///< above 1: the groups of a transposed convolution, [in, out/groups, ...], which share channels
};

/// Where a product keeps its arguments.
struct ProductArguments {
  size_t input = 0;
  size_t weight = 1;
  std::optional<size_t> bias;  ///< of operators that take one
  ProductLayout layout;
};
/// nullopt for every other node. Knows convolutions, linear, addmm, mm, bmm and matmul.
OCTET_API std::optional<ProductArguments> product_arguments(const Node& node);

/// The smallest weight scales that leave room: float32, [1], or one a channel of the weight's grid. `bias` may be
/// undefined. `input` says grid and levels of the input.
OCTET_API at::Tensor least_weight_scale(const at::Tensor& weight, const at::Tensor& bias, const ProductLayout& layout,
                                        const ObserverBase& input, bool per_channel);

/// Channels whose scale was enlarged, of how many.
struct RoomMade {
  int64_t enlarged = 0;
  int64_t channels = 0;
};
/// Gives the observer or fake quantizer of a weight these smallest scales, whatever range it sees. Nothing happens
/// where the two are no 8-bit integers known before the run, or where the weight's grid is fixed.
RoomMade make_room(ObserverBase& weight_quantizer, const at::Tensor& weight, const at::Tensor& bias,
                   const ProductLayout& layout, const ObserverBase& input);
/// "2 of 32 channels: weight scales enlarged, so that ..."; empty where none was.
std::string text(const RoomMade& made);

/// make_room() for every product of a prepared model whose weight and bias are constants, with a line in the log for
/// those where it changed something. Products inside QatConvBn see to it themselves.
void make_room(GraphModule& prepared);

/// In front of a weight's fake quantizer in training: gives it the smallest scales that the bias of the moment asks
/// for. Inputs: weight, which passes as it is, and bias. In graphs it counts as an observer that sees nothing.
class AccumulatorRoom : public ObserverBase {
 public:
  /// `sources`: the observers of input and weight.
  AccumulatorRoom(std::vector<std::shared_ptr<ObserverBase>> sources, const ProductLayout& layout);
  at::Tensor call(const std::vector<at::Tensor>& inputs) override;
  at::Tensor forward(const at::Tensor& x) override { return x; }
  /// Throws octet::Error: it has none.
  QParams calculate_qparams() const override;
  std::string type_name() const override { return "AccumulatorRoom"; }
  std::shared_ptr<CallableModule> copy() const override;
  void relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) override;

  const std::vector<std::shared_ptr<ObserverBase>>& sources() const { return sources_; }
  void set_sources(std::vector<std::shared_ptr<ObserverBase>> sources) { sources_ = std::move(sources); }
  const ProductLayout& layout() const { return layout_; }

 private:
  std::vector<std::shared_ptr<ObserverBase>> sources_;
  ProductLayout layout_;
};

/// Channels of a product of a converted program whose bias and worst sum leave int32.
struct AccumulatorExcess {
  int64_t beyond = 0;
  int64_t channels = 0;
  int64_t worst = 0;  ///< the largest sum that is possible
};
/// nullopt where every sum fits, and for all that is no product of two 8-bit integers.
OCTET_API std::optional<AccumulatorExcess> accumulator_excess(const GraphModule& converted, const Node& node);
/// Throws octet::Error naming the first such product.
void check_accumulators(const GraphModule& converted);

}  // namespace octet
