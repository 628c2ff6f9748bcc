#include "octet/kernels/normalize_round.h"

#include <ATen/ops/batch_norm.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logical_and.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/autograd/graph_task.h>

#include <algorithm>
#include <cmath>

#include "octet/kernels/channel_rows.h"
#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/recycled_memory.h"
#include "octet/kernels/small_tensors.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A tensor whose channels lie as ChannelLayout says: as it is, or a copy.
at::Tensor in_rows(const at::Tensor& x) {
  const bool interleaved = x.dim() > 1 && x.stride(1) == 1 && x.is_non_overlapping_and_dense();
  return interleaved || x.is_contiguous() ? x : x.contiguous();
}

ChannelLayout layout_of(const at::Tensor& x) {
  const int64_t channels = x.size(1);
  if (!x.is_contiguous()) return {x.numel() / channels, channels, 1};
  return {x.size(0), channels, x.numel() / (x.size(0) * channels)};
}

at::Tensor laid_out_like(const at::Tensor& x, const at::Tensor& gradient) {
  if (gradient.scalar_type() == at::kFloat && gradient.strides() == x.strides()) return gradient;
  return at::empty_like(x).copy_(gradient);
}

ClipAndRound rounding_of(const ClippingActivation& activation, const RoundingGrid& grid) {
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  if (grid.is_none) return {activation.low, activation.high, 1, 1, 0, -kInfinite, kInfinite};
  return {activation.low,
          activation.high,
          1.0F / grid.scale,
          grid.scale,
          static_cast<float>(grid.zero_point),
          float_bound(grid.quant_min),
          float_bound(grid.quant_max)};
}

std::vector<float> as_floats(const at::Tensor& values, size_t count, float otherwise) {
  if (!values.defined()) return std::vector<float>(count, otherwise);
  const at::Tensor row = values.detach().to(at::kFloat).contiguous();
  const float* data = row.const_data_ptr<float>();
  return {data, data + count};
}

// NaN wins, as it does in a range over all values.
void widen(float& low, float& high, float value) {
  if (std::isnan(value) || std::isnan(low)) {
    low = high = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  low = std::min(low, value);
  high = std::max(high, value);
}

void clip(const ClippingActivation& activation, float& low, float& high) {
  for (float* end : {&low, &high}) {
    *end = *end < activation.low ? activation.low : *end;
    *end = *end > activation.high ? activation.high : *end;
  }
}

void move_running(const at::Tensor& running, const std::vector<double>& batch, double momentum) {
  if (!running.defined()) return;
  if (plain_values<float>(running) != nullptr) {
    const auto kept = static_cast<float>(1.0 - momentum), share = static_cast<float>(momentum);
    float* values = running.mutable_data_ptr<float>();
    for (size_t c = 0; c < batch.size(); ++c) values[c] = values[c] * kept + share * static_cast<float>(batch[c]);
    running.unsafeGetTensorImpl()->bump_version();
    return;
  }
  at::Tensor of_batch = at::empty({running.numel()}, at::kFloat);
  std::transform(batch.begin(), batch.end(), of_batch.mutable_data_ptr<float>(),
                 [](double value) { return static_cast<float>(value); });
  const at::NoGradGuard no_grad;
  const at::Tensor moved = running.detach();
  moved.mul_(1.0 - momentum).add_(of_batch.view(running.sizes()), momentum);
}

// What rounds where the values are tensors of any kind, and what a second derivative goes through.
at::Tensor clip_round_reference(const at::Tensor& x, const ClippingActivation& activation, const RoundingGrid& grid) {
  at::Tensor clipped = x;
  if (std::isfinite(activation.low) || std::isfinite(activation.high)) {
    const at::Tensor value = at::clamp(x.detach(), activation.low, activation.high);
    const at::Tensor passes = activation.ends_pass
                                  ? at::logical_and(x.detach() >= activation.low, x.detach() <= activation.high)
                                  : at::logical_and(x.detach() > activation.low, x.detach() < activation.high);
    const at::Tensor passing = at::where(passes, x, at::zeros_like(x));
    clipped = value + (passing - passing.detach());
  }
  if (grid.is_none) return clipped;
  return fake_quantize_reference(clipped, at::full({1}, grid.scale, at::kFloat),
                                 at::full({1}, grid.zero_point, at::kLong), -1, grid.quant_min, grid.quant_max);
}

c10::IValue saved(const RoundingGrid& grid) {
  return std::vector<double>{grid.scale, static_cast<double>(grid.zero_point), static_cast<double>(grid.quant_min),
                             static_cast<double>(grid.quant_max), grid.is_none ? 1.0 : 0.0};
}
RoundingGrid grid_from(const c10::IValue& value) {
  const std::vector<double> numbers = value.toDoubleVector();
  return {static_cast<float>(numbers[0]), std::llround(numbers[1]), std::llround(numbers[2]), std::llround(numbers[3]),
          numbers[4] != 0};
}

c10::IValue saved(const ClippingActivation& activation) {
  return std::vector<double>{activation.low, activation.high, activation.ends_pass ? 1.0 : 0.0};
}
ClippingActivation activation_from(const c10::IValue& value) {
  const std::vector<double> numbers = value.toDoubleVector();
  return {static_cast<float>(numbers[0]), static_cast<float>(numbers[1]), numbers[2] != 0};
}

// A function of autograd takes no undefined tensor.
std::optional<at::Tensor> if_defined(const at::Tensor& x) { return x.defined() ? std::optional(x) : std::nullopt; }

struct NormalizeRoundRequest {
  const BatchNormParameters& norm;
  const ClippingActivation& activation;
  const ChooseGrid& choose;
  bool gives_up_x;
  c10::intrusive_ptr<PendingGradient> pending;
};

struct NormalizeRound : torch::autograd::Function<NormalizeRound> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given,
                            const std::optional<at::Tensor>& given_gamma, const std::optional<at::Tensor>& given_beta,
                            const NormalizeRoundRequest* request) {
    const RecycledMemory recycled;
    const at::Tensor gamma = given_gamma.value_or(at::Tensor());
    const at::Tensor beta = given_beta.value_or(at::Tensor());
    const at::Tensor x = in_rows(given);
    const ChannelLayout layout = layout_of(x);
    const float* values = x.const_data_ptr<float>();
    const ChannelMoments moments = channel_moments(values, layout);
    const auto channels = static_cast<size_t>(layout.channels);
    const auto count = static_cast<double>(layout.count());
    const BatchNormParameters& norm = request->norm;

    ChannelAffine affine;
    affine.scale = as_floats(gamma, channels, 1);
    affine.shift = as_floats(beta, channels, 0);
    std::vector<double> unbiased(channels);
    at::Tensor deviations = at::empty({layout.channels}, at::kDouble);
    double* inverse = deviations.mutable_data_ptr<double>();
    float low = std::numeric_limits<float>::infinity();
    float high = -low;
    for (size_t c = 0; c < channels; ++c) {
      inverse[c] = 1.0 / std::sqrt(moments.squares[c] / count + norm.eps);
      unbiased[c] = moments.squares[c] / (count - 1);
      affine.mean.push_back(static_cast<float>(moments.mean[c]));
      affine.scale[c] = static_cast<float>(affine.scale[c] * inverse[c]);
      // The map is monotone, in float32 too.
      for (const float end : {moments.low[c], moments.high[c]}) widen(low, high, affine(end, c));
      if (std::isnan(moments.mean[c])) low = high = std::numeric_limits<float>::quiet_NaN();
    }
    move_running(norm.running_mean, moments.mean, norm.momentum);
    move_running(norm.running_var, unbiased, norm.momentum);
    clip(request->activation, low, high);
    const RoundingGrid grid = request->choose.choose(low, high, [&] {
      const at::Tensor normalized =
          at::batch_norm(x.detach(), gamma.defined() ? gamma.detach() : gamma, beta.defined() ? beta.detach() : beta,
                         {}, {}, true, 0, norm.eps, false);
      return at::clamp(normalized, request->activation.low, request->activation.high);
    });

    const ClipAndRound rounding = rounding_of(request->activation, grid);
    at::Tensor y = at::empty_like(x);
    octet::normalize_round(values, y.mutable_data_ptr<float>(), layout, affine, rounding);
    const auto row = [&](const std::vector<float>& numbers) {
      at::Tensor held = at::empty({layout.channels}, at::kFloat);
      std::copy(numbers.begin(), numbers.end(), held.mutable_data_ptr<float>());
      return held;
    };
    context->save_for_backward({x, gamma, beta, row(affine.mean), row(affine.scale), row(affine.shift), deviations});
    context->saved_data["activation"] = saved(request->activation);
    context->saved_data["eps"] = norm.eps;
    context->saved_data["gives_up_x"] = request->gives_up_x;
    if (request->pending && request->pending->is_awaited && layout.inner == 1) {
      context->saved_data["pending"] = c10::IValue::make_capsule(request->pending);
    }
    context->saved_data["grid"] = saved(grid);
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list held = context->get_saved_variables();
    const at::Tensor& x = held[0];
    const at::Tensor& gamma = held[1];
    const at::Tensor& beta = held[2];
    const ClippingActivation activation = activation_from(context->saved_data["activation"]);
    const RoundingGrid grid = grid_from(context->saved_data["grid"]);
    // Inputs that are none are not counted.
    bool needs[] = {context->needs_input_grad(0), false, false};
    size_t input = 1;
    for (const size_t i : {1, 2}) needs[i] = held[i].defined() && context->needs_input_grad(input++);
    if (torch::GradMode::is_enabled()) {  // a second derivative is asked for
      const at::Tensor normalized =
          at::batch_norm(x, gamma, beta, {}, {}, true, 0, context->saved_data["eps"].toDouble(), false);
      const at::Tensor y = clip_round_reference(normalized, activation, grid);
      variable_list inputs;
      for (const size_t i : {0, 1, 2}) {
        if (needs[i]) inputs.push_back(held[i]);
      }
      const variable_list found = torch::autograd::grad({y}, inputs, {gradients[0]}, true, true, true);
      variable_list all(4);
      size_t next = 0;
      for (const size_t i : {0, 1, 2}) {
        if (needs[i]) all[i] = found[next++];
      }
      return all;
    }

    const RecycledMemory recycled;
    const at::Tensor gradient = laid_out_like(x, gradients[0]);
    const ChannelLayout layout = layout_of(x);
    const auto channels = static_cast<size_t>(layout.channels);
    GradientFormula formula;
    formula.affine = {as_floats(held[3], channels, 0), as_floats(held[4], channels, 1),
                      as_floats(held[5], channels, 0)};
    const ChannelAffine& affine = formula.affine;
    const double* inverse = held[6].const_data_ptr<double>();
    formula.passes = pass_interval(rounding_of(activation, grid), !activation.ends_pass);
    const float* in = x.const_data_ptr<float>();
    const float* given = gradient.const_data_ptr<float>();
    const GradientSums sums = gradient_sums(in, given, layout, affine, formula.passes);

    variable_list results(4);
    const auto row = [&](const std::function<double(size_t)>& value) {
      at::Tensor made = at::empty({layout.channels}, at::kFloat);
      float* to = made.mutable_data_ptr<float>();
      for (size_t c = 0; c < channels; ++c) to[c] = static_cast<float>(value(c));
      return made;
    };
    if (needs[1]) results[1] = row([&](size_t c) { return sums.with_deviation[c] * inverse[c]; });
    if (needs[2]) results[2] = row([&](size_t c) { return sums.plain[c]; });
    if (needs[0]) {
      const double count = static_cast<double>(layout.count());
      formula.slope.resize(channels);
      formula.offset.resize(channels);
      for (size_t c = 0; c < channels; ++c) {
        const double scale = affine.scale[c];
        formula.slope[c] = static_cast<float>(-scale * inverse[c] * inverse[c] * sums.with_deviation[c] / count);
        formula.offset[c] = static_cast<float>(-scale * sums.plain[c] / count);
      }
      // Nobody reads x once more, unless the graph is kept.
      const bool in_place = context->saved_data["gives_up_x"].toBool() && !x.is_leaf() &&
                            !torch::autograd::get_current_graph_task_keep_graph();
      const auto pending = context->saved_data.find("pending");
      if (in_place && pending != context->saved_data.end()) {
        const auto waiting = c10::static_intrusive_pointer_cast<PendingGradient>(pending->second.toCapsule());
        waiting->formula = PendingGradient::Formula{x.detach(), gradient, std::move(formula)};
        results[0] = x.detach();
      } else {
        results[0] = in_place ? x.detach() : at::empty_like(x);
        normalize_gradient(in, given, results[0].mutable_data_ptr<float>(), layout, formula);
      }
    }
    return results;
  }
};

struct SumRoundRequest {
  const ClippingActivation& activation;
  const ChooseGrid& choose;
};

RoundingGrid grid_of_sum(const at::Tensor& a, const at::Tensor& b, const SumRoundRequest& request) {
  const float* right = b.defined() ? b.const_data_ptr<float>() : nullptr;
  PassInterval range{0, 0};
  if (request.choose.by_range) range = range_of_sum(a.const_data_ptr<float>(), right, a.numel());
  float low = range.low;
  float high = range.high;
  clip(request.activation, low, high);
  return request.choose.choose(low, high, [&] {
    const at::Tensor sum = b.defined() ? a.detach() + b.detach() : a.detach();
    return at::clamp(sum, request.activation.low, request.activation.high);
  });
}

struct SumRound : torch::autograd::Function<SumRound> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& given, const std::optional<at::Tensor>& second,
                            const SumRoundRequest* request) {
    const RecycledMemory recycled;
    const at::Tensor other = second.value_or(at::Tensor());
    const at::Tensor a = given.is_non_overlapping_and_dense() ? given : given.contiguous();
    const at::Tensor b = other.defined() ? laid_out_like(a, other) : at::Tensor();
    const RoundingGrid grid = grid_of_sum(a, b, *request);
    const ClipAndRound rounding = rounding_of(request->activation, grid);
    at::Tensor y = at::empty_like(a);
    at::Tensor mask;
    if (given.requires_grad() || (other.defined() && other.requires_grad())) {
      mask = at::empty_like(a, a.options().dtype(at::kByte));
    }
    octet::sum_round(a.const_data_ptr<float>(), b.defined() ? b.const_data_ptr<float>() : nullptr,
                     y.mutable_data_ptr<float>(), mask.defined() ? mask.mutable_data_ptr<uint8_t>() : nullptr,
                     a.numel(), rounding, pass_interval(rounding, !request->activation.ends_pass));
    context->save_for_backward({mask});
    context->saved_data["two"] = other.defined();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const at::Tensor mask = context->get_saved_variables()[0];
    const bool right = context->saved_data["two"].toBool() && context->needs_input_grad(1);
    at::Tensor passed;
    if (torch::GradMode::is_enabled()) {  // a second derivative is asked for
      passed = at::where(mask.to(at::kBool), gradients[0], at::zeros_like(gradients[0]));
    } else {
      const RecycledMemory recycled;
      const at::Tensor gradient = gradients[0].strides() == mask.strides()
                                      ? gradients[0]
                                      : at::empty_like(mask, mask.options().dtype(at::kFloat)).copy_(gradients[0]);
      passed = at::empty_like(gradient);
      mask_gradient(gradient.const_data_ptr<float>(), mask.const_data_ptr<uint8_t>(), passed.mutable_data_ptr<float>(),
                    passed.numel());
    }
    return {context->needs_input_grad(0) ? passed : at::Tensor(), right ? passed : at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool takes_fused(const at::Tensor& x) {
  return x.defined() && x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided &&
         x.numel() > 0;
}

at::Tensor normalize_round(const at::Tensor& x, const BatchNormParameters& norm, const ClippingActivation& activation,
                           const ChooseGrid& choose, bool gives_up_x,
                           const c10::intrusive_ptr<PendingGradient>& pending) {
  const NormalizeRoundRequest request{norm, activation, choose, gives_up_x, pending};
  return NormalizeRound::apply(x, if_defined(norm.gamma), if_defined(norm.beta), &request);
}

at::Tensor sum_round(const at::Tensor& a, const at::Tensor& b, const ClippingActivation& activation,
                     const ChooseGrid& choose) {
  const SumRoundRequest request{activation, choose};
  return SumRound::apply(a, if_defined(b), &request);
}

}  // namespace octet
