#include "octet/quantize/observers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/affine_ops.h"
#include "octet/quantize/assign_buffer.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/range_meeting.h"
#include "octet/quantize/spec_text.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool is_uninitialised(const at::Tensor& low, const at::Tensor& high) {
  return low.numel() == 0 ||
         (low.numel() == 1 && first_value<float>(low) == kInfinity && first_value<float>(high) == -kInfinity);
}

[[noreturn]] void no_parameters(const ObserverBase& observer) {
  throw Error(observer.type_name(), "has no quantization parameters");
}

void check_no_nan(const ObserverBase& observer, bool is_nan) {
  if (is_nan) {
    throw Error(observer.type_name(), "the observed tensor holds NaN")
        .hint("look for a diverging loss (lower the learning rate) or a division by 0");
  }
}

void check_averaging_constant(double constant, const char* where) {
  if (constant > 0 && constant <= 1) return;
  throw expected(where, "averaging_constant", "above 0 and at most 1", octet::str(constant));
}

// Along dimension 0 lie a weight's channels, which all processes have alike, or an activation's samples, which no grid
// tells apart.
bool may_differ_by_process(const RangeObserver& of_channels) { return of_channels.ch_axis != 0; }

bool holds_nan(const at::Tensor& x) {
  if (const float* values = plain_values<float>(x)) {
    return std::any_of(values, values + x.numel(), [](float value) { return std::isnan(value); });
  }
  return at::isnan(x).any().item<bool>();
}

// Two roundings, as the formula says: no fused multiply-add.
void move_towards(at::Tensor& average, const at::Tensor& current, double constant) {
  const float* towards = plain_values<float>(current);
  if (towards == nullptr || plain_values<float>(average) == nullptr || average.sizes() != current.sizes()) {
    average.add_((current - average) * constant);
    return;
  }
  float* values = average.mutable_data_ptr<float>();
  const auto share = static_cast<float>(constant);
  for (int64_t i = 0; i < average.numel(); ++i) values[i] += (towards[i] - values[i]) * share;
  average.unsafeGetTensorImpl()->bump_version();
}

at::Tensor eps_tensor(const std::string& name, double eps) {
  const bool is_float32 = eps <= std::numeric_limits<float>::max() && static_cast<float>(eps) > 0;
  if (!is_float32) throw expected(name, "eps", "positive and finite in float32", octet::str(eps));
  return at::full({1}, eps, at::kFloat);
}

}  // namespace

void apply_args(ObserverBase& observer, const ObserverArgs& args, const std::string& where) {
  const auto [low, high] = resolve_quant_range(args, where);
  if (!dtype_range(args.dtype)) {
    throw expected(where, "dtype", "int8, uint8, int16, uint16 or int32", dtype_name(args.dtype));
  }
  observer.dtype = args.dtype;
  observer.quant_min = low;
  observer.quant_max = high;
  observer.qscheme = args.qscheme;
  observer.ch_axis = args.ch_axis;
  observer.is_dynamic = args.is_dynamic;
  observer.given_zero_point = args.zero_point;
  observer.block_size = args.block_size;
  observer.custom_range = args.quant_min && args.quant_max;
}

RangeObserver::RangeObserver(const std::string& name, const ObserverArgs& args, double eps, bool per_channel,
                             bool may_be_dynamic) {
  apply_args(*this, args, name);
  const bool is_channel_scheme = this->is_per_channel() || qscheme == at::kPerChannelAffineFloatQParams;
  if (is_channel_scheme != per_channel) {
    throw expected(name, "qscheme", per_channel ? "a per-channel one" : "a per-tensor one", qscheme_text(qscheme));
  }
  if (per_channel && ch_axis < 0) throw expected(name, "ch_axis", "0 or more", octet::str(ch_axis));
  if (is_dynamic && !may_be_dynamic) throw Error(name, "cannot serve dynamic quantization").hint("use a placeholder");
  eps_ = register_buffer("eps", eps_tensor(name, eps));
  min_val = register_buffer("min_val", per_channel ? at::empty({0}, at::kFloat) : at::full({}, kInfinity, at::kFloat));
  max_val = register_buffer("max_val", per_channel ? at::empty({0}, at::kFloat) : at::full({}, -kInfinity, at::kFloat));
}

at::Tensor RangeObserver::forward(const at::Tensor& x) {
  if (x.numel() == 0) return x;
  at::NoGradGuard no_grad;
  observe(x.detach().to(at::kFloat));
  lead_followers();
  return x;
}

bool RangeObserver::forward_range(const at::Tensor& low, const at::Tensor& high) {
  const at::NoGradGuard no_grad;
  if (is_per_channel()) {
    at::Tensor met_low = low, met_high = high;
    if (may_differ_by_process(*this)) meet(met_low, met_high);
    if (!observe_range(met_low, met_high)) return false;
    lead_followers();
    return true;
  }
  // What counts of several processes' values is more than one range can say.
  if (reading == Reading::kMaximum && ranges_meet()) return false;
  if (low.dim() != 0 || !is_whole_range(first_value<float>(low), first_value<float>(high), reading)) return false;
  SeenRange seen{{}, low, high};
  meet(seen.low, seen.high);
  flatten(seen, reading);
  if (!observe_range(seen.low, seen.high)) return false;
  lead_followers();
  return true;
}

void RangeObserver::lead_followers() {
  for (const auto& follower : followers_) {
    if (RangeObserver* range = range_observer(*follower)) {
      range->min_val.set_(min_val);
      range->max_val.set_(max_val);
    }
    if (auto* rounding = dynamic_cast<FakeQuantize*>(follower.get())) rounding->refresh();
  }
}

void RangeObserver::take_range(const at::Tensor& low, const at::Tensor& high) {
  assign_buffer(min_val, low);
  assign_buffer(max_val, high);
}

void RangeObserver::relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {
  for (auto& follower : followers_) {
    if (auto copied = std::dynamic_pointer_cast<ObserverBase>(twin(follower.get()))) follower = copied;
  }
}

QParams RangeObserver::grid_of(const at::Tensor& low, const at::Tensor& high) const {
  QParams grid =
      choose_qparams(low, high, quant_min, quant_max, qscheme, eps(),
                     given_zero_point.value_or(octet::symmetric_zero_point(dtype, quant_min, quant_max, custom_range)));
  if (least_scale_.defined() && least_scale_.numel() == grid.scale.numel()) {
    grid.scale = at::maximum(grid.scale, least_scale_.to(grid.scale.device()));
  }
  return grid;
}

QParams RangeObserver::calculate_qparams() const { return grid_of(min_val, max_val); }

bool RangeObserver::has_data() const { return !is_uninitialised(min_val, max_val); }

void RangeObserver::reset() {
  const bool per_channel = qscheme != at::kPerTensorAffine && qscheme != at::kPerTensorSymmetric;
  assign_buffer(min_val, per_channel ? min_val.new_empty({0}) : at::full_like(min_val, kInfinity));
  assign_buffer(max_val, per_channel ? max_val.new_empty({0}) : at::full_like(max_val, -kInfinity));
}

double RangeObserver::eps() const { return first_value<float>(eps_); }

void RangeObserver::copy_state_from(const RangeObserver& other) {
  torch::nn::Module::to(other.min_val.device());
  train(other.is_training());
  assign_buffer(eps_, other.eps_);
  assign_buffer(min_val, other.min_val);
  assign_buffer(max_val, other.max_val);
  reading = other.reading;
  least_scale_ = other.least_scale_;
  followers_ = other.followers_;
}

SeenRange RangeObserver::look_at(const at::Tensor& x) {
  SeenRange seen = seen_range(type_name(), x, reading);
  meet(seen);
  flatten(seen, reading);
  left_some_out_ = left_some_out_ || (seen.left_out && reading == Reading::kPlain);
  return seen;
}

MinMaxObserver::MinMaxObserver(const std::string& name, const ObserverArgs& args, double eps, bool may_be_dynamic)
    : RangeObserver(name, args, eps, false, may_be_dynamic) {}

MinMaxObserver::MinMaxObserver(const ObserverArgs& args, double eps)
    : MinMaxObserver("MinMaxObserver", args, eps, false) {}

void MinMaxObserver::observe(const at::Tensor& x) {
  const SeenRange seen = look_at(x);
  if (seen.low.defined()) observe_range(seen.low, seen.high);
}

bool MinMaxObserver::observe_range(const at::Tensor& low, const at::Tensor& high) {
  assign_buffer(min_val, at::minimum(min_val, low));
  assign_buffer(max_val, at::maximum(max_val, high));
  return true;
}

std::shared_ptr<CallableModule> MinMaxObserver::copy() const {
  auto twin = std::make_shared<MinMaxObserver>(args(), eps());
  twin->copy_state_from(*this);
  return twin;
}

MovingAverageMinMaxObserver::MovingAverageMinMaxObserver(const ObserverArgs& args, double averaging_constant,
                                                         double eps, Averaging averaging)
    : MinMaxObserver("MovingAverageMinMaxObserver", args, eps, averaging_constant == 1.0),
      averaging_constant_(averaging_constant),
      averaging_(averaging) {
  check_averaging_constant(averaging_constant, "MovingAverageMinMaxObserver");
}

bool MovingAverageMinMaxObserver::observe_range(const at::Tensor& seen_low, const at::Tensor& seen_high) {
  at::Tensor low = seen_low;
  at::Tensor high = seen_high;
  bool is_first = !has_data();
  if (averaging_ == Averaging::kEachRun) {
    if (run_) {
      run_->low = low = at::minimum(run_->low, low);
      run_->high = high = at::maximum(run_->high, high);
      is_first = run_->is_first;
      assign_buffer(min_val, run_->start_low);
      assign_buffer(max_val, run_->start_high);
    } else {
      run_ = Run{is_first, min_val.clone(), max_val.clone(), low, high};
    }
  }
  if (is_first) {
    assign_buffer(min_val, low);
    assign_buffer(max_val, high);
    return true;
  }
  move_towards(min_val, low, averaging_constant_);
  move_towards(max_val, high, averaging_constant_);
  return true;
}

void MovingAverageMinMaxObserver::take_range(const at::Tensor& low, const at::Tensor& high) {
  run_.reset();
  RangeObserver::take_range(low, high);
}

std::shared_ptr<CallableModule> MovingAverageMinMaxObserver::copy() const {
  auto twin = std::make_shared<MovingAverageMinMaxObserver>(args(), averaging_constant_, eps(), averaging_);
  twin->copy_state_from(*this);
  return twin;
}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const std::string& name, const ObserverArgs& args, double eps)
    : RangeObserver(name, args, eps, true, false) {}

PerChannelMinMaxObserver::PerChannelMinMaxObserver(const ObserverArgs& args, double eps)
    : PerChannelMinMaxObserver("PerChannelMinMaxObserver", args, eps) {}

std::pair<at::Tensor, at::Tensor> PerChannelMinMaxObserver::channel_range(const at::Tensor& x) const {
  if (ch_axis >= x.dim()) {
    throw expected(type_name(), "ch_axis", octet::str("below the input's rank ", x.dim()), octet::str(ch_axis));
  }
  if (min_val.numel() != 0 && min_val.numel() != x.size(ch_axis)) {
    throw expected(type_name(), "channels", octet::str(min_val.numel()), octet::str(x.size(ch_axis)));
  }
  const at::Tensor rows = x.transpose(0, ch_axis).reshape({x.size(ch_axis), -1});
  auto [low, high] = at::aminmax(rows, 1);
  check_no_nan(*this, holds_nan(low));
  return {low, high};
}

void PerChannelMinMaxObserver::observe(const at::Tensor& x) {
  auto [low, high] = channel_range(x);
  if (may_differ_by_process(*this)) meet(low, high);
  observe_range(low, high);
}

bool PerChannelMinMaxObserver::observe_range(const at::Tensor& low, const at::Tensor& high) {
  if (!may_take(low, high)) return false;
  const bool first = min_val.numel() == 0;
  assign_buffer(min_val, first ? low : at::minimum(min_val, low));
  assign_buffer(max_val, first ? high : at::maximum(max_val, high));
  return true;
}

bool PerChannelMinMaxObserver::may_take(const at::Tensor& low, const at::Tensor& high) const {
  const bool fits = low.dim() == 1 && low.sizes() == high.sizes() && low.numel() > 0 &&
                    (min_val.numel() == 0 || min_val.numel() == low.numel());
  return fits && !holds_nan(low);
}

std::shared_ptr<CallableModule> PerChannelMinMaxObserver::copy() const {
  auto twin = std::make_shared<PerChannelMinMaxObserver>(args(), eps());
  twin->copy_state_from(*this);
  return twin;
}

MovingAveragePerChannelMinMaxObserver::MovingAveragePerChannelMinMaxObserver(const ObserverArgs& args,
                                                                             double averaging_constant, double eps)
    : PerChannelMinMaxObserver("MovingAveragePerChannelMinMaxObserver", args, eps),
      averaging_constant_(averaging_constant) {
  check_averaging_constant(averaging_constant, "MovingAveragePerChannelMinMaxObserver");
}

bool MovingAveragePerChannelMinMaxObserver::observe_range(const at::Tensor& low, const at::Tensor& high) {
  if (!may_take(low, high)) return false;
  if (min_val.numel() == 0) {
    assign_buffer(min_val, low);
    assign_buffer(max_val, high);
    return true;
  }
  move_towards(min_val, low, averaging_constant_);
  move_towards(max_val, high, averaging_constant_);
  return true;
}

std::shared_ptr<CallableModule> MovingAveragePerChannelMinMaxObserver::copy() const {
  auto twin = std::make_shared<MovingAveragePerChannelMinMaxObserver>(args(), averaging_constant_, eps());
  twin->copy_state_from(*this);
  return twin;
}

BlockMinMaxObserver::BlockMinMaxObserver(const ObserverArgs& args, MappingType mapping, double eps)
    : RangeObserver("BlockMinMaxObserver", args, eps, false, false), mapping_(mapping) {
  if (block_size.empty()) throw Error(type_name(), "is given no block_size").hint("a size for each dimension");
  if ((mapping == MappingType::kAsymmetric) != (qscheme == at::kPerTensorAffine)) {
    throw expected(type_name(), "mapping", octet::str("one for ", qscheme_text(qscheme)), text(mapping));
  }
}

void BlockMinMaxObserver::observe(const at::Tensor& x) {
  const auto [low, high] = affine::block_range(x, block_size, "BlockMinMaxObserver");
  check_no_nan(*this, holds_nan(low));
  const bool first = !has_data();
  if (!first && low.sizes() != min_val.sizes()) {
    throw expected(type_name(), "blocks", octet::str("[", join(", ", min_val.sizes()), "]"),
                   octet::str("[", join(", ", low.sizes()), "]"));
  }
  assign_buffer(min_val, first ? low : at::minimum(min_val, low));
  assign_buffer(max_val, first ? high : at::maximum(max_val, high));
}

QParams BlockMinMaxObserver::calculate_qparams() const {
  const QParams grid = choose_qparams(min_val, max_val, quant_min, quant_max, mapping_, eps());
  if (!has_data()) return grid;
  return {grid.scale.reshape(min_val.sizes()), grid.zero_point.reshape(min_val.sizes())};
}

void BlockMinMaxObserver::reset() {
  assign_buffer(min_val, at::full({}, kInfinity, min_val.options()));
  assign_buffer(max_val, at::full({}, -kInfinity, max_val.options()));
}

std::shared_ptr<CallableModule> BlockMinMaxObserver::copy() const {
  auto twin = std::make_shared<BlockMinMaxObserver>(args(), mapping_, eps());
  twin->copy_state_from(*this);
  return twin;
}

FixedQParamsObserver::FixedQParamsObserver(const ObserverArgs& args, double fixed_scale, int64_t fixed_zero_point) {
  apply_args(*this, args, "FixedQParamsObserver");
  scale = register_buffer("scale", at::full({1}, fixed_scale, at::kFloat));
  zero_point = register_buffer("zero_point", at::full({1}, fixed_zero_point, at::kLong));
}

std::shared_ptr<CallableModule> FixedQParamsObserver::copy() const {
  auto twin = std::make_shared<FixedQParamsObserver>(args(), 1.0, 0);
  twin->to(scale.device());
  assign_buffer(twin->scale, scale);
  assign_buffer(twin->zero_point, zero_point);
  return twin;
}

namespace {

// Observers that need no grid keep whatever range they were given, and may have types that have none.
void apply_loose_args(ObserverBase& observer, const ObserverArgs& args) {
  observer.dtype = args.dtype;
  const auto whole = dtype_range(args.dtype).value_or(std::pair<int64_t, int64_t>{0, 0});
  observer.custom_range = args.quant_min && args.quant_max;
  observer.quant_min = observer.custom_range ? *args.quant_min : whole.first;
  observer.quant_max = observer.custom_range ? *args.quant_max : whole.second;
  observer.qscheme = args.qscheme;
  observer.ch_axis = args.ch_axis;
  observer.is_dynamic = args.is_dynamic;
  observer.block_size = args.block_size;
}

}  // namespace

PlaceholderObserver::PlaceholderObserver(const ObserverArgs& args, double eps) {
  apply_loose_args(*this, args);
  eps_ = register_buffer("eps", eps_tensor("PlaceholderObserver", eps));
}

QParams PlaceholderObserver::calculate_qparams() const { no_parameters(*this); }
double PlaceholderObserver::eps() const { return first_value<float>(eps_); }
std::shared_ptr<CallableModule> PlaceholderObserver::copy() const {
  auto twin = std::make_shared<PlaceholderObserver>(args(), eps());
  twin->to(eps_.device());
  return twin;
}

NoopObserver::NoopObserver(const ObserverArgs& args) { apply_loose_args(*this, args); }
QParams NoopObserver::calculate_qparams() const { no_parameters(*this); }
std::shared_ptr<CallableModule> NoopObserver::copy() const { return std::make_shared<NoopObserver>(args()); }

RecordingObserver::RecordingObserver(const ObserverArgs& args) { apply_loose_args(*this, args); }
at::Tensor RecordingObserver::forward(const at::Tensor& x) {
  recorded_.push_back(x.detach().clone());
  return x;
}
QParams RecordingObserver::calculate_qparams() const { no_parameters(*this); }
std::shared_ptr<CallableModule> RecordingObserver::copy() const {
  auto twin = std::make_shared<RecordingObserver>(args());
  for (const at::Tensor& value : recorded_) twin->recorded_.push_back(value.clone());
  return twin;
}

DerivedObserver::DerivedObserver(const ObserverArgs& args, std::vector<std::shared_ptr<ObserverBase>> sources,
                                 Derivation derivation)
    : sources_(std::move(sources)), derivation_(std::move(derivation)) {
  apply_args(*this, args, "DerivedObserver");
}

QParams DerivedObserver::calculate_qparams() const {
  std::vector<QParams> grids;
  for (const auto& source : sources_) grids.push_back(source->calculate_qparams());
  QParams grid = derivation_.derive(grids);
  // Made by a function of the caller's.
  if (!grid.scale.defined() || !grid.zero_point.defined() || grid.scale.numel() == 0 ||
      grid.scale.sizes() != grid.zero_point.sizes()) {
    throw Error(derivation_.name, "gives no scales with a zero point for each");
  }
  const at::Tensor scale = grid.scale.detach().to(at::kCPU, at::kFloat).contiguous();
  const float* scales = scale.const_data_ptr<float>();
  for (int64_t i = 0; i < scale.numel(); ++i) {
    if (!(scales[i] > 0) || !std::isfinite(scales[i])) {
      throw expected(derivation_.name, "scale", "positive and finite", octet::str(scales[i]));
    }
  }
  return grid;
}

bool DerivedObserver::has_data() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const auto& source) { return source->has_data(); });
}

std::shared_ptr<CallableModule> DerivedObserver::copy() const {
  return std::make_shared<DerivedObserver>(args(), sources_, derivation_);
}

void DerivedObserver::relink(const std::function<std::shared_ptr<CallableModule>(const CallableModule*)>& twin) {
  for (auto& source : sources_) {
    if (auto copied = std::dynamic_pointer_cast<ObserverBase>(twin(source.get()))) source = copied;
  }
}

}  // namespace octet
