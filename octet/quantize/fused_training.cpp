#include "octet/quantize/fused_training.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>

#include "octet/graph/clipping.h"
#include "octet/graph/graph_module.h"
#include "octet/kernels/normalize_round.h"
#include "octet/kernels/reference_path.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/qat_conv_bn.h"

namespace octet {
namespace {

// One grid for the whole tensor.
std::shared_ptr<FakeQuantize> tensor_rounding(const GraphModule& module, const Node& node) {
  auto rounding = std::dynamic_pointer_cast<FakeQuantize>(module.callable(node.target()));
  if (!rounding || known_rounding(rounding.get()) == nullptr) return nullptr;
  const bool one_grid = rounding->qscheme == at::kPerTensorAffine || rounding->qscheme == at::kPerTensorSymmetric;
  return one_grid ? rounding : nullptr;
}

class TrainingSteps : public FusedSteps {
 public:
  // `product` may be null: then what is rounded is the sum of the inputs. `before`, which may be null, has rounded what
  // the product reads.
  TrainingSteps(std::shared_ptr<QatConvBn> product, const ClippingActivation& activation,
                std::shared_ptr<FakeQuantize> rounding, std::shared_ptr<FakeQuantize> before)
      : product_(std::move(product)),
        activation_(activation),
        rounding_(std::move(rounding)),
        before_(std::move(before)) {}

  std::optional<at::Tensor> run(const std::vector<at::Tensor>& inputs) override {
    if (reference_path() || !rounding_->is_fake_quant_enabled() || !rounding_->scale.device().is_cpu()) return {};
    const bool observes = rounding_->is_observer_enabled();
    if (!observes && !rounding_->has_data()) return {};
    for (const at::Tensor& input : inputs) {
      if (input.defined() && !takes_fused(input)) return {};
    }
    const ChooseGrid choose{[this](float low, float high, const std::function<at::Tensor()>& values) {
                              const QParams grid = rounding_->watch(at::full({}, low, at::kFloat),
                                                                    at::full({}, high, at::kFloat), values);
                              return RoundingGrid{first_value<float>(grid.scale), first_value<int64_t>(grid.zero_point),
                                                  rounding_->quant_min, rounding_->quant_max, !rounding_->has_data()};
                            },
                            observes};
    if (!product_) {
      if (inputs.size() == 2 && inputs[0].sizes() != inputs[1].sizes()) return {};
      return sum_round(inputs[0], inputs.size() == 2 ? inputs[1] : at::Tensor(), activation_, choose);
    }
    if (inputs[0].dim() != inputs[1].dim()) return {};  // a sample without a batch
    const std::optional<RoundingGrid> grid = grid_of_x();
    const RoundingGrid* known = grid ? &*grid : nullptr;
    if (!product_->normalizes_batch()) return sum_round(product_->call(inputs, known), {}, activation_, choose);
    const auto pending = c10::make_intrusive<PendingGradient>();
    return normalize_round(product_->before_batch_norm(inputs, known, pending),
                           {inputs[3], inputs[4], inputs[5], inputs[6], product_->momentum(), product_->eps()},
                           activation_, choose, /*gives_up_x=*/true, pending);
  }

 private:
  // That of the last call of what stands before; where that was another value's, the convolution finds out.
  std::optional<RoundingGrid> grid_of_x() const {
    if (!before_ || !before_->is_fake_quant_enabled() || !before_->has_data()) return std::nullopt;
    return RoundingGrid{first_value<float>(before_->scale), first_value<int64_t>(before_->zero_point),
                        before_->quant_min, before_->quant_max};
  }

  std::shared_ptr<QatConvBn> product_;
  ClippingActivation activation_;
  std::shared_ptr<FakeQuantize> rounding_;
  std::shared_ptr<FakeQuantize> before_;
};

// What rounded the values of `node`; null where that is not seen.
std::shared_ptr<FakeQuantize> rounding_before(const GraphModule& module, const Node* node) {
  while (node != nullptr && (node->is_call("aten.max_pool2d.default") || node->is_call("aten.relu.default"))) {
    node = node->arg(size_t{0}).node();
  }
  const bool is_module = node != nullptr && node->kind() == NodeKind::kCallModule;
  return is_module ? tensor_rounding(module, *node) : nullptr;
}

// The bounds of a clipping activation; nullopt where they are none to compute with.
std::optional<ClippingActivation> activation_of(const Node& node) {
  const std::optional<Clipping> clipping = clipping_of(node);
  if (!clipping || std::isnan(clipping->low) || std::isnan(clipping->high)) return std::nullopt;
  return ClippingActivation{static_cast<float>(clipping->low), static_cast<float>(clipping->high), clipping->ends_pass};
}

std::shared_ptr<QatConvBn> product_of(const GraphModule& module, const Node& node) {
  if (node.kind() != NodeKind::kCallModule) return nullptr;
  return std::dynamic_pointer_cast<QatConvBn>(module.callable(node.target()));
}

bool adds_two(const Node& node) {
  return node.is_call("aten.add.Tensor") && node.arg(size_t{0}).is_node() && node.arg(size_t{1}).is_node() &&
         node.arg("alpha").is_constant() && node.arg("alpha").constant().toScalar().toDouble() == 1.0;
}

bool is_read_once(const Node* node) { return node != nullptr && node->user_count() == 1; }

}  // namespace

std::optional<FusedGroup> fuse_training_steps(const GraphModule& module, const Node& node) {
  const std::shared_ptr<FakeQuantize> rounding = tensor_rounding(module, node);
  const Node* value = node.arg(size_t{0}).node();
  if (!rounding || !is_read_once(value)) return std::nullopt;
  FusedGroup group{{&node}, {}, nullptr};
  const std::optional<ClippingActivation> activation = activation_of(*value);
  const Node* source = value;
  if (activation) {
    group.nodes.insert(group.nodes.begin(), value);
    source = value->arg(size_t{0}).node();
  }
  const ClippingActivation bounds = activation.value_or(ClippingActivation{});
  const auto product = source != nullptr && is_read_once(source) ? product_of(module, *source) : nullptr;
  if (product || (is_read_once(source) && adds_two(*source))) {
    group.nodes.insert(group.nodes.begin(), source);
    for (const Arg& arg : source->args()) {
      if (product || arg.is_node()) group.inputs.push_back(arg);
    }
  } else if (activation && source != nullptr) {
    // In place, it may write into what others see.
    const bool in_place = value->op().writes_argument(0);
    const bool is_own = is_read_once(source) && (source->is(Trait::kConvolution) || source->is(Trait::kLinear));
    if (in_place && !is_own) return std::nullopt;
    group.inputs.push_back(value->arg(size_t{0}));
  } else {
    return std::nullopt;
  }
  const auto before = product ? rounding_before(module, group.inputs.front().node()) : nullptr;
  group.steps = std::make_shared<TrainingSteps>(product, bounds, rounding, before);
  return group;
}

}  // namespace octet
