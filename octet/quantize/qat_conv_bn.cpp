#include "octet/quantize/qat_conv_bn.h"

#include <ATen/ops/addcmul.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "octet/graph/fused_steps.h"
#include "octet/kernels/reference_path.h"
#include "octet/kernels/round_weight.h"
#include "octet/kernels/small_tensors.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr double kLeastGamma = 1e-3;

at::Tensor away_from_zero(const at::Tensor& gamma) {
  if (!gamma.defined()) return gamma;
  const at::Tensor floor = at::where(gamma < 0, -kLeastGamma, kLeastGamma).to(gamma.scalar_type());
  return at::where(gamma.abs() < kLeastGamma, floor, gamma);
}

template <typename T>
std::shared_ptr<T> copied(const std::shared_ptr<T>& module) {
  return module ? std::dynamic_pointer_cast<T>(module->copy()) : nullptr;
}

}  // namespace

QatConvBn::QatConvBn(const ConvBatchNorm& pair)
    : CallableModule("QatConvBn"),
      op_(pair.conv->op()),
      info_(pair.info),
      eps_(pair.eps()),
      momentum_(pair.momentum()) {
  for (size_t i = 0; i < pair.conv->args().size(); ++i) {
    literals_.push_back(i < 3 ? c10::IValue() : pair.conv->args()[i].constant());
  }
  frozen_ = register_buffer("bn_stats_frozen", at::zeros({1}, at::kByte));
}

QatConvBn::QatConvBn(Op op, std::vector<c10::IValue> literals, ConvInfo info, double eps, double momentum)
    : CallableModule("QatConvBn"),
      op_(std::move(op)),
      literals_(std::move(literals)),
      info_(info),
      eps_(eps),
      momentum_(momentum) {
  frozen_ = register_buffer("bn_stats_frozen", at::zeros({1}, at::kByte));
}

QatConvBn::QatConvBn(const QatConvBn& other, const at::Tensor& frozen)
    : CallableModule("QatConvBn"),
      op_(other.op_),
      literals_(other.literals_),
      info_(other.info_),
      eps_(other.eps_),
      momentum_(other.momentum_) {
  frozen_ = register_buffer("bn_stats_frozen", frozen);
}

void QatConvBn::set_fake_quantizers(std::shared_ptr<ObserverBase> weight, std::shared_ptr<ObserverBase> bias) {
  weight_fake_quant_ = std::move(weight);
  bias_fake_quant_ = std::move(bias);
  if (weight_fake_quant_) register_module("weight_fake_quant", weight_fake_quant_);
  if (bias_fake_quant_) register_module("bias_fake_quant", bias_fake_quant_);
}

std::shared_ptr<CallableModule> QatConvBn::copy() const {
  auto weight = copied(weight_fake_quant_);
  auto bias = copied(bias_fake_quant_);
  if (bias) {
    bias->relink([&](const CallableModule* source) -> std::shared_ptr<CallableModule> {
      return source == weight_fake_quant_.get() ? weight : nullptr;
    });
  }
  std::shared_ptr<QatConvBn> twin(new QatConvBn(*this, frozen_.clone()));
  twin->set_fake_quantizers(std::move(weight), std::move(bias));
  twin->train(is_training());
  return twin;
}

void QatConvBn::relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {
  if (weight_fake_quant_) weight_fake_quant_->relink(twin);
  if (bias_fake_quant_) bias_fake_quant_->relink(twin);
}

void QatConvBn::freeze_bn_stats(bool on) { frozen_.fill_(on ? 1 : 0); }

bool QatConvBn::bn_stats_frozen() const { return first_value<uint8_t>(frozen_) != 0; }

at::Tensor QatConvBn::convolve(const at::Tensor& x, const RoundedWeight& weight, const at::Tensor& bias,
                               const RoundingGrid* grid_of_x,
                               const c10::intrusive_ptr<PendingGradient>& pending) const {
  if (is_training() && x.dim() == 4 && weight.values.dim() == 4) {
    if (const std::optional<ConvGeometry> geometry = conv_geometry(op_, literals_)) {
      ComputeForward in_integers;
      if (grid_of_x != nullptr && takes_integers(x, *grid_of_x, weight, *geometry)) {
        in_integers = [&] { return convolve_in_integers(x, *grid_of_x, weight, bias, *geometry); };
      }
      return octet::conv2d(x, weight.values, bias, *geometry, trained_, in_integers, pending);
    }
  }
  c10::Stack stack(literals_.begin(), literals_.end());
  stack[0] = x;
  stack[1] = weight.values;
  if (bias.defined()) stack[2] = bias;
  op_.handle().callBoxed(stack);
  return stack.at(0).toTensor();
}

QatConvBn::Folded QatConvBn::fold(const std::vector<at::Tensor>& inputs) const {
  const at::Tensor factor = batch_norm_factor(inputs.at(3), inputs.at(6), eps_);
  return {scale_weight(inputs.at(1), factor, info_), fold_bias(inputs.at(2), inputs.at(4), inputs.at(5), factor)};
}

RoomMade QatConvBn::make_room(const at::Tensor& weight, const at::Tensor& bias) const {
  const auto* derived = dynamic_cast<const DerivedFakeQuantize*>(bias_fake_quant_.get());
  if (!weight_fake_quant_ || derived == nullptr || derived->derived()->sources().empty()) return {};
  const ProductLayout layout{false, info_.weight_axis(), info_.is_transposed ? info_.groups : 1};
  return octet::make_room(*weight_fake_quant_, weight, bias, layout, *derived->derived()->sources().front());
}

at::Tensor QatConvBn::call(const std::vector<at::Tensor>& inputs, const RoundingGrid* grid_of_x) {
  if (inputs.size() != 7) throw expected("conv-bn", "inputs", "7", std::to_string(inputs.size()));
  if (!normalizes_batch()) {
    std::vector<at::Tensor> taken = inputs;
    taken[3] = trained_only(inputs[3]);
    const RoundedWeight weight = rounded_weight(taken, /*divided=*/false);
    at::Tensor bias = fold_bias(taken[2], taken[4], taken[5], batch_norm_factor(taken[3], taken[6], eps_));
    if (bias_fake_quant_) bias = bias_fake_quant_->forward(bias);
    return convolve(taken[0], weight, bias, grid_of_x);
  }
  return at::batch_norm(before_batch_norm(inputs, grid_of_x), inputs[3], inputs[4], inputs[5], inputs[6],
                        /*training=*/true, momentum_, eps_, /*cudnn_enabled=*/true);
}

at::Tensor QatConvBn::trained_only(const at::Tensor& values) const {
  if (!is_training() || !trained_.defined() || !values.defined()) return values;
  const at::Tensor is_trained = at::zeros(values.sizes(), at::TensorOptions(values.device()).dtype(at::kBool));
  return at::where(is_trained.index_fill_(0, trained_, true), values, values.detach());
}

at::Tensor QatConvBn::before_batch_norm(const std::vector<at::Tensor>& inputs, const RoundingGrid* grid_of_x,
                                        const c10::intrusive_ptr<PendingGradient>& pending) {
  return convolve(inputs[0], rounded_weight(inputs, /*divided=*/true), inputs[2], grid_of_x, pending);
}

RoundedWeight QatConvBn::rounded_weight(const std::vector<at::Tensor>& inputs, bool divided) const {
  if (const std::optional<RoundedWeight> made = weight_in_one_call(inputs, divided)) return *made;
  const at::Tensor gamma = divided ? away_from_zero(inputs.at(3)) : inputs.at(3);
  const at::Tensor factor = batch_norm_factor(gamma, inputs.at(6), eps_);
  at::Tensor weight = scale_weight(inputs[1], factor, info_);
  make_room(weight, fold_bias(inputs[2], inputs[4], inputs[5], factor).detach());
  if (weight_fake_quant_) weight = weight_fake_quant_->forward(weight);
  // Dividing the weight instead of the output is the same in exact arithmetic and saves two passes over the
  // activations.
  return {divided ? scale_weight(weight, factor.reciprocal(), info_) : weight, {}};
}

std::optional<RoundedWeight> QatConvBn::weight_in_one_call(const std::vector<at::Tensor>& inputs, bool divided) const {
  FakeQuantize* rounding = known_rounding(weight_fake_quant_.get());
  if (!fuses_steps() || reference_path() || rounding == nullptr || info_.is_transposed) return std::nullopt;
  if (!rounding->is_fake_quant_enabled() || !rounding->scale.device().is_cpu()) return std::nullopt;
  if (!rounding->is_observer_enabled() && !rounding->has_data()) return std::nullopt;
  const bool by_channel = rounding->is_per_channel();
  const WeightScaling scaling{inputs.at(3), inputs.at(6), eps_, divided ? kLeastGamma : 0.0, divided};
  if ((by_channel && rounding->ch_axis != 0) || !takes_round_weight(inputs.at(1), scaling)) return std::nullopt;
  at::Tensor steps, multiples;
  const ChooseWeightGrid choose = [&](const ScaledWeight& scaled) {
    make_room(scaled.values, fold_bias(inputs[2], inputs[4], inputs[5], scaled.factor));
    const at::Tensor low = by_channel ? scaled.low : scaled.low.min();
    const at::Tensor high = by_channel ? scaled.high : scaled.high.max();
    const QParams grid = rounding->watch(low, high, [&] { return scaled.values; });
    const bool has_grid = rounding->has_data();
    const at::Tensor of_channels = grid.scale.expand_as(scaled.factor);
    if (has_grid) steps = divided ? of_channels / scaled.factor : of_channels.clone();
    return WeightGrid{grid.scale, grid.zero_point, rounding->quant_min, rounding->quant_max, !has_grid};
  };
  const at::Tensor rounded = round_weight(inputs[1], scaling, choose, &multiples);
  return RoundedWeight{rounded, steps, multiples};
}

void QatConvBn::begin_run() {
  if (auto* listener = dynamic_cast<RunListener*>(weight_fake_quant_.get())) listener->begin_run();
}

Node* QatConvBn::emit(Graph& graph, const std::string& name, Node* x, Node* weight, Node* bias) const {
  std::vector<Arg> args(literals_.begin(), literals_.end());
  args[0] = Arg(x);
  args[1] = Arg(weight);
  if (bias != nullptr) args[2] = Arg(bias);
  return graph.call(op_, std::move(args), {}, name);
}

}  // namespace octet
