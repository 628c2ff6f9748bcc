#include "octet/quantize/accumulator.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/graph/constant_value.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

constexpr int64_t kMostSum = std::numeric_limits<int32_t>::max();
// What float32 may lose of a bias near 2^31: its steps there are 128, and two scales are rounded.
constexpr double kFloatSlack = 1024.0;
// A weight is rounded by half a level; a little more in float32.
constexpr double kRounding = 0.501;

// How many products one sum adds.
int64_t products_of_a_sum(const at::Tensor& weight, const ProductLayout& layout) {
  if (layout.is_matrix) return weight.size(-2);
  return weight.numel() / (layout.groups > 1 ? layout.groups * weight.size(1) : weight.size(layout.axis));
}

// Of each group and channel of the weight: the sum over its elements, [groups, channels].
at::Tensor channel_sums(const at::Tensor& magnitudes, const ProductLayout& layout) {
  if (layout.is_matrix) {
    at::Tensor sums = magnitudes.sum(-2);
    return sums.reshape({-1, sums.size(-1)}).amax(0, /*keepdim=*/true);
  }
  if (layout.groups > 1) {
    const int64_t channels = magnitudes.size(1);
    const at::Tensor grouped =
        magnitudes.reshape({layout.groups, magnitudes.size(0) / layout.groups, channels, -1}).transpose(1, 2);
    return grouped.reshape({layout.groups, channels, -1}).sum(2);
  }
  const int64_t channels = magnitudes.size(layout.axis);
  return magnitudes.transpose(0, layout.axis).reshape({channels, -1}).sum(1).unsqueeze(0);
}

// True where no weight at all could bring the sums near the end of int32, as in nearly every product: spares a look at
// each weight. `bias`: its largest, in levels of the accumulator.
bool is_far_from_the_end(int64_t products, int64_t farthest, int64_t most_weight, double bias) {
  constexpr double kNear = 0.25;
  const double worst = static_cast<double>(products) * static_cast<double>(farthest) * static_cast<double>(most_weight);
  return worst + bias < kNear * static_cast<double>(kMostSum);
}

// The bias as [groups, channels]; one number for all, its largest, where it is not one a channel.
at::Tensor per_channel_magnitude(const at::Tensor& bias, const at::Tensor& sums) {
  const at::Tensor magnitude = bias.abs();
  return magnitude.numel() == sums.numel() ? magnitude.reshape(sums.sizes()) : magnitude.max();
}

bool has_elements(const at::Tensor& weight, const ProductLayout& layout) {
  return weight.defined() && weight.numel() > 0 && weight.dim() >= (layout.is_matrix ? 2 : layout.axis + 1);
}

int64_t reach(int64_t least, int64_t most, int64_t zero_point) {
  return std::max(most - zero_point, zero_point - least);
}

// A bias on a grid of its own is requantized to that of the products before it is added.
at::Tensor on_products(const at::Tensor& levels, const QuantRecord& bias, const QuantRecord& input,
                       const QuantRecord& weight) {
  if (bias.scale.size() != 1 || weight.scale.size() != 1 || input.scale.size() != 1) return levels;
  const double ratio = bias.scale[0] / (input.scale[0] * weight.scale[0]);
  constexpr double kSame = 1e-4;
  return std::abs(ratio - 1.0) < kSame ? levels : (levels.to(at::kDouble) * ratio).round().to(at::kLong);
}

bool is_8_bit(at::ScalarType dtype) { return dtype == at::kChar || dtype == at::kByte; }
bool is_known_8_bit(const ObserverBase& observer) { return is_8_bit(observer.dtype) && !observer.is_dynamic; }

// Behind an argument of a prepared model: the observer that the operator reads, and the value in front of all
// observers.
struct Watched {
  const Node* value = nullptr;
  ObserverBase* observer = nullptr;
};

Watched watched(const GraphModule& module, const Arg& arg) {
  Watched found{arg.node(), nullptr};
  while (found.value != nullptr && found.value->kind() == NodeKind::kCallModule) {
    auto* observer = dynamic_cast<ObserverBase*>(module.callable(found.value->target()).get());
    if (observer == nullptr) break;
    if (found.observer == nullptr) found.observer = observer;
    found.value = found.value->arg(0).node();
  }
  return found;
}

void make_room_for(GraphModule& prepared, const Node& node, const ProductArguments& places) {
  const Watched input = watched(prepared, node.arg(places.input));
  const Watched weight = watched(prepared, node.arg(places.weight));
  if (input.observer == nullptr || weight.observer == nullptr || weight.value == nullptr) return;
  const at::Tensor value = constant_value(prepared, *weight.value);
  if (!value.defined()) return;
  at::Tensor bias_value;
  if (places.bias && node.arg(*places.bias).is_node()) {
    const Watched bias = watched(prepared, node.arg(*places.bias));
    if (bias.observer != nullptr && bias.value != nullptr) bias_value = constant_value(prepared, *bias.value);
  }
  if (!weight.observer->has_data()) weight.observer->forward(value);
  const RoomMade made = make_room(*weight.observer, value, bias_value, places.layout, *input.observer);
  if (made.enlarged > 0) log::warn(node.where(), ": ", text(made));
}

RangeObserver* range_of(ObserverBase& quantizer) {
  auto* fake = dynamic_cast<FakeQuantize*>(&quantizer);
  return dynamic_cast<RangeObserver*>(fake == nullptr ? &quantizer : fake->observer().get());
}

ObserverBase* observer_behind(const GraphModule& module, const Node& node) {
  for (const Node* user : node.users()) {
    if (user->kind() != NodeKind::kCallModule) continue;
    if (auto* observer = dynamic_cast<ObserverBase*>(module.callable(user->target()).get())) return observer;
  }
  return nullptr;
}

// A product of two levels, on the result's grid, must keep within int32 too. A constant like -1e9 ("nothing here",
// times a mask) does not: its grid is cut where one level of the other factor already leaves the result's grid, so that
// no result changes.
void make_room_for_factor(GraphModule& prepared, const Node& node, size_t place) {
  const Watched factor = watched(prepared, node.arg(place));
  const Watched other = watched(prepared, node.arg(1 - place));
  ObserverBase* result = observer_behind(prepared, node);
  if (factor.observer == nullptr || factor.value == nullptr || other.observer == nullptr || result == nullptr) return;
  for (const ObserverBase* each : {factor.observer, other.observer, result}) {
    if (!is_known_8_bit(*each) || each->is_per_channel()) return;
  }
  const at::Tensor value = constant_value(prepared, *factor.value);
  RangeObserver* range = range_of(*factor.observer);
  if (!value.defined() || range == nullptr || !other.observer->has_data() || !result->has_data()) return;
  if (!range->has_data()) factor.observer->forward(value);
  if (!range->has_data()) return;
  const auto most_levels = [](const ObserverBase& observer, const QParams& grid) {
    return static_cast<double>(reach(observer.quant_min, observer.quant_max, grid.zero_point.item<int64_t>()));
  };
  const QParams own = factor.observer->calculate_qparams(), others = other.observer->calculate_qparams();
  const double step =
      own.scale.item<double>() * others.scale.item<double>() / result->calculate_qparams().scale.item<double>();
  const double most = most_levels(*factor.observer, own) * most_levels(*other.observer, others) * step;
  constexpr double kRoom = 0x1p30;
  if (most <= kRoom) return;
  range->reset();
  range->forward(value * (kRoom / most));
  if (auto* fake = dynamic_cast<FakeQuantize*>(factor.observer)) fake->refresh();
}

}  // namespace

std::optional<ProductArguments> product_arguments(const Node& node) {
  if (const std::optional<ConvInfo> info = conv_info(node)) {
    return ProductArguments{0, 1, 2, {false, info->weight_axis(), info->is_transposed ? info->groups : 1}};
  }
  if (node.is_call("aten.addmm.default")) return ProductArguments{1, 2, 0, {.is_matrix = true}};
  for (const char* op : {"aten.mm.default", "aten.bmm.default", "aten.matmul.default"}) {
    if (node.is_call(op)) return ProductArguments{0, 1, std::nullopt, {.is_matrix = true}};
  }
  return std::nullopt;
}

at::Tensor least_weight_scale(const at::Tensor& weight, const at::Tensor& bias, const ProductLayout& layout,
                              const ObserverBase& input, bool per_channel) {
  const QParams grid = input.calculate_qparams();
  const auto farthest =
      static_cast<double>(reach(input.quant_min, input.quant_max, first_value<int64_t>(grid.zero_point)));
  const at::Tensor sums = channel_sums(weight.detach().to(at::kDouble).abs(), layout);
  const int64_t count = products_of_a_sum(weight, layout);
  at::Tensor asked = sums * farthest;
  if (bias.defined()) {
    asked = asked + per_channel_magnitude(bias.detach().to(at::kDouble), sums) / grid.scale.item<double>();
  }
  const double room = static_cast<double>(kMostSum) - kFloatSlack - kRounding * farthest * static_cast<double>(count);
  const at::Tensor least = per_channel ? (asked / room).amax(0) : (asked / room).max().reshape({1});
  return (least * (1 + 0x1p-22)).to(at::kFloat);  // never below, in float32 either
}

RoomMade make_room(ObserverBase& weight_quantizer, const at::Tensor& weight, const at::Tensor& bias,
                   const ProductLayout& layout, const ObserverBase& input) {
  const at::NoGradGuard no_grad;
  if (!is_known_8_bit(weight_quantizer) || !is_known_8_bit(input) || input.is_per_channel()) return {};
  if (!weight_quantizer.block_size.empty()) return {};  // sums of a block each, which are added in float
  if (!has_elements(weight, layout) || !input.has_data()) return {};
  RangeObserver* range = range_of(weight_quantizer);
  auto* fake = dynamic_cast<FakeQuantize*>(&weight_quantizer);
  if (range == nullptr) return {};
  range->require_scale({});
  if (range->has_data()) {
    const at::Tensor own = weight_quantizer.calculate_qparams().scale;
    const QParams grid = input.calculate_qparams();
    const double level = static_cast<double>(first_value<float>(grid.scale)) * own.min().item<double>();
    const double largest = bias.defined() && bias.numel() > 0 ? bias.detach().abs().max().item<double>() / level : 0.0;
    const int64_t farthest = reach(input.quant_min, input.quant_max, first_value<int64_t>(grid.zero_point));
    const int64_t most = std::max(std::abs(weight_quantizer.quant_min), std::abs(weight_quantizer.quant_max));
    if (is_far_from_the_end(products_of_a_sum(weight, layout), farthest, most, largest)) return {0, own.numel()};
  }
  const at::Tensor least = least_weight_scale(weight, bias, layout, input, weight_quantizer.is_per_channel());
  if (!at::isfinite(least).all().item<bool>()) return {};  // of a diverging model; the observers will say so
  range->require_scale(least);
  if (!range->has_data()) return {};
  if (fake != nullptr && fake->scale.sizes() == least.sizes() && fake->scale.lt(least).any().item<bool>()) {
    fake->refresh();
  }
  const at::Tensor scale = weight_quantizer.calculate_qparams().scale.flatten();
  if (scale.sizes() != least.sizes()) return {};
  return {scale.le(least).sum().item<int64_t>(), scale.numel()};
}

std::string text(const RoomMade& made) {
  if (made.enlarged == 0) return {};
  const std::string what =
      made.channels == 1 ? "the weight's scale is"
                         : octet::str("the weight scales of ", made.enlarged, " of ", made.channels, " channels are");
  return what + " enlarged, so that bias and products stay within int32";
}

void make_room(GraphModule& prepared) {
  for (const Node* node : prepared.graph().nodes()) {
    if (const auto places = product_arguments(*node)) make_room_for(prepared, *node, *places);
    if (!node->is_call("aten.mul.Tensor")) continue;
    for (const size_t place : {0, 1}) make_room_for_factor(prepared, *node, place);
  }
}

AccumulatorRoom::AccumulatorRoom(std::vector<std::shared_ptr<ObserverBase>> sources, const ProductLayout& layout)
    : sources_(std::move(sources)), layout_(layout) {
  dtype = at::kFloat;
}

at::Tensor AccumulatorRoom::call(const std::vector<at::Tensor>& inputs) {
  if (inputs.size() != 2 || sources_.size() != 2) {
    throw expected(type_name(), "inputs and sources", "2 and 2", octet::str(inputs.size(), " and ", sources_.size()));
  }
  make_room(*sources_[1], inputs[0], inputs[1], layout_, *sources_[0]);
  return inputs[0];
}

QParams AccumulatorRoom::calculate_qparams() const { throw Error(type_name(), "has no quantization parameters"); }

std::shared_ptr<CallableModule> AccumulatorRoom::copy() const {
  auto twin = std::make_shared<AccumulatorRoom>(sources_, layout_);
  twin->train(is_training());
  return twin;
}

void AccumulatorRoom::relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {
  for (auto& source : sources_) {
    if (auto copied = std::dynamic_pointer_cast<ObserverBase>(twin(source.get()))) source = copied;
  }
}

std::optional<AccumulatorExcess> accumulator_excess(const GraphModule& converted, const Node& node) {
  const auto places = product_arguments(node);
  if (!places) return std::nullopt;
  const auto dequantize = [&](size_t index) -> const Node* {
    const Node* value = node.arg(index).node();
    return value != nullptr && value->is(Trait::kDequantize) ? value : nullptr;
  };
  const Node* input = dequantize(places->input);
  const Node* weight = dequantize(places->weight);
  if (input == nullptr || weight == nullptr) return std::nullopt;
  const QuantRecord input_grid = grid_at(converted, *input);
  const QuantRecord weight_grid = grid_at(converted, *weight);
  for (const QuantRecord& grid : {input_grid, weight_grid}) {
    if ((grid.dtype != "int8" && grid.dtype != "uint8") || grid.zero_point.empty()) return std::nullopt;
  }
  if (input_grid.zero_point.size() != 1 || !weight_grid.block_size.empty()) return std::nullopt;
  const int64_t farthest = reach(input_grid.quant_min, input_grid.quant_max, input_grid.zero_point.front());

  int64_t most = 0;
  for (const int64_t zero : weight_grid.zero_point) {
    most = std::max(most, reach(weight_grid.quant_min, weight_grid.quant_max, zero));
  }
  const Node* stored = weight->arg(0).node();
  at::Tensor bias_levels;
  if (places->bias && node.arg(*places->bias).is_node()) {
    const Node* bias = dequantize(*places->bias);
    if (bias == nullptr) return std::nullopt;  // added in float
    bias_levels = constant_value(converted, *bias->arg(0).node());
    if (!bias_levels.defined() || bias_levels.scalar_type() != at::kInt || bias_levels.numel() == 0)
      return std::nullopt;
    bias_levels = on_products(bias_levels.to(at::kCPU, at::kLong), grid_at(converted, *bias), input_grid, weight_grid);
  }
  at::Tensor magnitudes = stored == nullptr ? at::Tensor() : constant_value(converted, *stored);
  if (magnitudes.defined()) {
    const double largest = bias_levels.defined() ? bias_levels.abs().max().item<double>() : 0.0;
    if (has_elements(magnitudes, places->layout) &&
        is_far_from_the_end(products_of_a_sum(magnitudes, places->layout), farthest, most, largest)) {
      return std::nullopt;
    }
    at::Tensor zero = at::tensor(weight_grid.zero_point);
    if (weight_grid.axis) {
      std::vector<int64_t> shape(static_cast<size_t>(magnitudes.dim()), 1);
      shape.at(static_cast<size_t>(*weight_grid.axis)) = zero.numel();
      zero = zero.view(shape);
    }
    magnitudes = (magnitudes.to(at::kCPU, at::kLong) - zero).abs();
  } else if (places->layout.is_matrix && weight->meta() && weight->meta()->rank() >= 2) {
    // Any levels may come: those of one channel stand for all.
    magnitudes = at::full({weight->meta()->sizes[weight->meta()->sizes.size() - 2], 1}, most, at::kLong);
  }
  if (!has_elements(magnitudes, places->layout)) return std::nullopt;
  at::Tensor sums = channel_sums(magnitudes, places->layout) * farthest;
  if (bias_levels.defined()) sums = sums + per_channel_magnitude(bias_levels, sums);
  const at::Tensor beyond = sums.gt(kMostSum);
  if (!beyond.any().item<bool>()) return std::nullopt;
  return AccumulatorExcess{beyond.sum().item<int64_t>(), sums.numel(), sums.max().item<int64_t>()};
}

void check_accumulators(const GraphModule& converted) {
  for (const Node* node : converted.graph().nodes()) {
    const auto excess = accumulator_excess(converted, *node);
    if (!excess) continue;
    throw expected(node->where(), octet::str("accumulator in ", excess->beyond, " of ", excess->channels, " channels"),
                   "within int32, whatever the input", octet::str("up to ", excess->worst))
        .hint("leave it in float (--leave-float), or split it");
  }
}

}  // namespace octet
