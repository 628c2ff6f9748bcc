#include "octet/quantize/learned_scales.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <set>

#include "octet/quantize/accumulator.h"
#include "octet/quantize/assign_buffer.h"
#include "octet/quantize/observers.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// [channels] as a tensor that broadcasts along `axis` of `x`; one value as it is.
at::Tensor along_axis(const at::Tensor& values, const at::Tensor& x, int64_t axis) {
  if (axis < 0) return values;
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape.at(static_cast<size_t>(axis)) = values.numel();
  return values.view(shape);
}

// Sum over all that shares a value of `like`.
at::Tensor sum_to(const at::Tensor& terms, const at::Tensor& like, int64_t axis) {
  if (axis < 0) return terms.sum().reshape(like.sizes());
  std::vector<int64_t> others;
  for (int64_t i = 0; i < terms.dim(); ++i) {
    if (i != axis) others.push_back(i);
  }
  return (others.empty() ? terms : terms.sum(others)).reshape(like.sizes());
}

struct LearnedRounding : torch::autograd::Function<LearnedRounding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& scale,
                            const at::Tensor& offset, const at::Tensor& zero_point, int64_t axis, int64_t quant_min,
                            int64_t quant_max, double factor) {
    // As they are now: what one forward reads at several places is made valid at each, in place.
    context->save_for_backward({x, scale.clone(), zero_point.clone()});
    context->saved_data["offset_learns"] = offset.requires_grad();
    context->saved_data["axis"] = axis;
    context->saved_data["low"] = quant_min;
    context->saved_data["high"] = quant_max;
    context->saved_data["factor"] = factor;
    return fake_quantize(x, scale, zero_point, axis, quant_min, quant_max);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &own_scale = saved[1];
    const at::Tensor& gradient = gradients.at(0);
    const int64_t axis = context->saved_data["axis"].toInt();
    const auto low = static_cast<double>(context->saved_data["low"].toInt());
    const auto high = static_cast<double>(context->saved_data["high"].toInt());
    const double factor = context->saved_data["factor"].toDouble();
    const at::Tensor scale = along_axis(own_scale, x, axis);
    const at::Tensor zero = along_axis(saved[2], x, axis).to(at::kFloat);
    const at::Tensor steps = x.to(at::kFloat) * scale.reciprocal();
    const at::Tensor rounded = at::round(steps);
    const at::Tensor level = rounded + zero;
    const at::Tensor outside = at::logical_or(level.lt(low), level.gt(high));
    const at::Tensor by_scale = at::where(outside, level.clamp(low, high) - zero, rounded - steps);
    at::Tensor to_scale = sum_to(gradient * by_scale, own_scale, axis).mul_(factor);
    at::Tensor to_offset;
    if (context->saved_data["offset_learns"].toBool()) {
      to_offset = sum_to(gradient * outside * -scale, own_scale, axis).mul_(factor);
    }
    return {gradient.masked_fill(outside, 0), to_scale, to_offset, {}, {}, {}, {}, {}};
  }
};

}  // namespace

LearnedFakeQuantize::LearnedFakeQuantize(std::shared_ptr<ObserverBase> observer)
    : FakeQuantize("LearnedFakeQuantize", std::move(observer)) {
  if (is_dynamic) throw Error("LearnedFakeQuantize", "a dynamic grid has nothing to learn");
  if (dynamic_cast<const RangeObserver*>(this->observer().get()) == nullptr) {
    throw expected("LearnedFakeQuantize", "observer", "one that keeps a range", this->observer()->type_name());
  }
  offset = register_buffer("offset", zero_point.to(at::kFloat));
  least_ = register_buffer("least_scale", at::zeros_like(scale));
  learning_ = register_buffer("learning", at::zeros({1}, at::kByte));
  of_weight_ = register_buffer("of_weight", at::zeros({1}, at::kByte));
}

bool LearnedFakeQuantize::is_affine() const {
  return qscheme == at::kPerTensorAffine || qscheme == at::kPerChannelAffine;
}

bool LearnedFakeQuantize::is_learning() const { return is_set(learning_); }

// Valid also where an optimizer's step has come since the last forward.
QParams LearnedFakeQuantize::calculate_qparams() const {
  if (is_learning()) keep_valid();
  return {scale.detach(), zero_point};
}

void LearnedFakeQuantize::start_learning(bool of_weight) {
  if (!has_data()) throw Error(type_name(), "has seen no data to start from").hint("calibrate first");
  assign_buffer(offset, zero_point.to(at::kFloat));
  assign_buffer(least_, scale / 4);
  enable_observer(false);
  learning_.fill_(1);
  of_weight_.fill_(of_weight ? 1 : 0);
  scale.set_requires_grad(true);
  offset.set_requires_grad(is_affine());
}

void LearnedFakeQuantize::follow(const LearnedFakeQuantize& leader) {
  const at::NoGradGuard no_grad;
  scale.set_requires_grad(false);
  offset.set_requires_grad(false);
  scale.set_(leader.scale.detach());
  offset.set_(leader.offset.detach());
  zero_point.set_(leader.zero_point);
  least_.set_(leader.least_);
}

std::vector<at::Tensor> LearnedFakeQuantize::learned() const {
  std::vector<at::Tensor> found;
  for (const at::Tensor& each : {scale, offset}) {
    if (each.requires_grad()) found.push_back(each);
  }
  return found;
}

void LearnedFakeQuantize::keep_valid() const {
  const at::NoGradGuard no_grad;
  const auto& range = dynamic_cast<const RangeObserver&>(*observer());
  scale.clamp_min_(range.eps());
  scale.copy_(at::maximum(scale, least_));
  const at::Tensor& least = range.required_scale();
  if (least.defined() && least.numel() == scale.numel())
    scale.copy_(at::maximum(scale, least.to(scale.device()).view_as(scale)));
  if (!is_affine()) return;
  offset.clamp_(static_cast<double>(quant_min), static_cast<double>(quant_max));
  zero_point.copy_(at::round(offset));
}

void LearnedFakeQuantize::refresh() {
  if (is_learning()) return keep_valid();
  FakeQuantize::refresh();
}

at::Tensor LearnedFakeQuantize::forward(const at::Tensor& x) {
  if (!is_learning()) return FakeQuantize::forward(x);
  if (x.numel() == 0 || !is_fake_quant_enabled()) return x;
  keep_valid();
  const bool of_weight = is_set(of_weight_);
  const int64_t sharing = of_weight ? x.numel() / scale.numel() : x.numel() / (x.dim() > 0 ? x.size(0) : 1);
  const int64_t levels = is_affine() ? quant_max - quant_min : quant_max;
  const double factor = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, sharing * levels)));
  return LearnedRounding::apply(x, scale, offset, zero_point, is_per_channel() ? ch_axis : -1, quant_min, quant_max,
                                factor);
}

std::shared_ptr<CallableModule> LearnedFakeQuantize::copy() const {
  auto twin = std::make_shared<LearnedFakeQuantize>(std::dynamic_pointer_cast<ObserverBase>(observer()->copy()));
  twin->copy_flags_from(*this);
  assign_buffer(twin->scale, scale);
  assign_buffer(twin->zero_point, zero_point);
  assign_buffer(twin->offset, offset);
  assign_buffer(twin->least_, least_);
  assign_buffer(twin->learning_, learning_);
  assign_buffer(twin->of_weight_, of_weight_);
  return twin;
}

ObserverFactory learned_fake_quantize(const ObserverFactory& rounding) {
  return {octet::str("LearnedFakeQuantize(", rounding.name, ")"),
          [make = rounding.make](const ObserverArgs& args) -> std::shared_ptr<ObserverBase> {
            std::shared_ptr<ObserverBase> made = make(args);
            const auto* fake = dynamic_cast<const FakeQuantize*>(made.get());
            if (fake == nullptr || fake->is_dynamic || range_observer(*fake) == nullptr) return made;
            return std::make_shared<LearnedFakeQuantize>(fake->observer());
          }};
}

void LearnedScalesQuantizer::annotate(GraphModule& module) {
  base_.annotate(module);
  const auto learn = [](AnySpec& spec) {
    auto* plain = std::get_if<QuantizationSpec>(&spec);
    if (plain != nullptr && plain->observer_or_fake_quant.make) {
      plain->observer_or_fake_quant = learned_fake_quantize(plain->observer_or_fake_quant);
    }
  };
  for (Node* node : module.graph().nodes()) {
    QuantizationAnnotation* note = annotation(*node);
    if (note == nullptr) continue;
    for (auto& [producer, spec] : note->input_qspec_map) learn(spec);
    if (note->output_qspec) learn(*note->output_qspec);
  }
}

std::vector<at::Tensor> start_learning_scales(GraphModule& prepared) {
  std::vector<LearnedFakeQuantize*> all;  // in the order of the graph, each once
  std::set<const CallableModule*> known;
  const auto start = [&](CallableModule* module, bool of_weight) {
    auto* learned = dynamic_cast<LearnedFakeQuantize*>(module);
    if (learned == nullptr || !learned->has_data() || !known.insert(module).second) return;
    learned->start_learning(of_weight);
    all.push_back(learned);
  };
  for (const Node* node : prepared.graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    const std::shared_ptr<CallableModule> module = prepared.callable(node->target());
    if (const auto* pair = dynamic_cast<const QatConvBn*>(module.get())) start(pair->weight_fake_quant().get(), true);
    const Node* watched = node->arg(size_t{0}).node();
    while (watched != nullptr && watched->kind() == NodeKind::kCallModule &&
           dynamic_cast<AccumulatorRoom*>(prepared.callable(watched->target()).get()) != nullptr) {
      watched = watched->arg(size_t{0}).node();
    }
    start(module.get(), watched != nullptr && watched->is_get_attr());
  }
  for (const LearnedFakeQuantize* leader : all) {
    for (const auto& follower : dynamic_cast<const RangeObserver&>(*leader->observer()).followers()) {
      auto* learned = dynamic_cast<LearnedFakeQuantize*>(follower.get());
      if (learned != nullptr && learned != leader && known.contains(learned)) learned->follow(*leader);
    }
  }
  std::vector<at::Tensor> parameters;
  for (const LearnedFakeQuantize* learned : all) {
    for (const at::Tensor& each : learned->learned()) parameters.push_back(each);
  }
  return parameters;
}

}  // namespace octet
