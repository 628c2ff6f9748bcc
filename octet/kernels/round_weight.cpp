#include "octet/kernels/round_weight.h"

#include <ATen/ops/where.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>
#include <cmath>
#include <limits>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/multi_isa.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/rounding.h"
#include "octet/kernels/small_tensors.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr const char* kWeightWhere = "octet::round_weight";
constexpr int64_t kWeightGrain = 1 << 13;
constexpr int64_t kWeightLanes = 16;

// Least and greatest of a row; NaN both where one of its numbers is none, or infinite.
struct RowRange {
  float low;
  float high;
};

OCTET_MULTI_ISA(scale_weight_row, (const float* weight, float* scaled, int64_t count, float factor, RowRange* range),
                (weight, scaled, count, factor, range), {
                  float low[kWeightLanes];
                  float high[kWeightLanes];
                  float flaw[kWeightLanes];
                  for (int64_t l = 0; l < kWeightLanes; ++l) {
                    low[l] = std::numeric_limits<float>::infinity();
                    high[l] = -std::numeric_limits<float>::infinity();
                    flaw[l] = 0;
                  }
                  const auto take = [&](int64_t at, int64_t lanes) {
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float value = weight[at + l] * factor;
                      scaled[at + l] = value;
                      low[l] = value < low[l] ? value : low[l];
                      high[l] = value > high[l] ? value : high[l];
                      flaw[l] += value * 0.0F;
                    }
                  };
                  const int64_t whole = count / kWeightLanes * kWeightLanes;
                  for (int64_t i = 0; i < whole; i += kWeightLanes) take(i, kWeightLanes);
                  take(whole, count - whole);
                  float least = low[0];
                  float most = high[0];
                  float wrong = flaw[0];
                  for (int64_t l = 1; l < kWeightLanes; ++l) {
                    least = low[l] < least ? low[l] : least;
                    most = high[l] > most ? high[l] : most;
                    wrong += flaw[l];
                  }
                  const bool is_sound = wrong == 0;
                  range->low = is_sound ? least : std::numeric_limits<float>::quiet_NaN();
                  range->high = is_sound ? most : std::numeric_limits<float>::quiet_NaN();
                })

// What one channel's weights have in common.
struct WeightRow {
  float factor;
  float back;  // 1 / factor, or 1 where nothing is divided
  float inverse;
  float scale;
  float zero_point;
  float least;
  float most;
};

OCTET_MULTI_ISA(round_weight_row, (const float* scaled, float* rounded, int64_t count, const WeightRow& row),
                (scaled, rounded, count, row), {
                  const WeightRow r = row;
                  _Pragma("GCC ivdep") for (int64_t i = 0; i < count; ++i) {
                    const float level = level_of(scaled[i], r.inverse, r.zero_point);
                    rounded[i] = value_of(level, r.least, r.most, r.zero_point, r.scale) * r.back;
                  }
                })

// The same, and what a value is a multiple of the step by; `fits` stays where int8 holds all of them, evenly.
OCTET_MULTI_ISA(round_weight_multiples_row,
                (const float* scaled, float* rounded, int8_t* multiples, int64_t count, const WeightRow& row,
                 bool* fits),
                (scaled, rounded, multiples, count, row, fits), {
                  const WeightRow r = row;
                  int32_t beyond = 0;
                  _Pragma("GCC ivdep") for (int64_t i = 0; i < count; ++i) {
                    const float level = level_of(scaled[i], r.inverse, r.zero_point);
                    rounded[i] = value_of(level, r.least, r.most, r.zero_point, r.scale) * r.back;
                    float steps = (level < r.least ? r.least : level);
                    steps = (steps > r.most ? r.most : steps) - r.zero_point;
                    beyond |= static_cast<int32_t>(!(steps >= -127.0F && steps <= 127.0F));
                    const float held = steps > -127.0F ? steps : -127.0F;  // no NaN goes on
                    multiples[i] = static_cast<int8_t>(static_cast<int32_t>(held < 127.0F ? held : 127.0F));
                  }
                  *fits = *fits && beyond == 0;
                })

// Of a channel: sums of the gradient of the scaled weight times the weight, and of the result's times the rounded
// weight.
struct FactorSums {
  double of_weight;
  double of_rounded;
};

OCTET_MULTI_ISA(weight_gradient_row,
                (const float* weight, const float* gradient, float* result, int64_t count, const WeightRow& row,
                 FactorSums* sums),
                (weight, gradient, result, count, row, sums), {
                  const WeightRow r = row;
                  float of_weight[kWeightLanes];
                  float of_rounded[kWeightLanes];
                  for (int64_t l = 0; l < kWeightLanes; ++l) of_weight[l] = of_rounded[l] = 0;
                  const auto take = [&](int64_t at, int64_t lanes) {
                    _Pragma("GCC ivdep") for (int64_t l = 0; l < lanes; ++l) {
                      const float w = weight[at + l];
                      const float level = level_of(w * r.factor, r.inverse, r.zero_point);
                      const float back = gradient[at + l] * r.back;
                      const float passed = ((level >= r.least) & (level <= r.most)) ? back : 0.0F;
                      result[at + l] = passed * r.factor;
                      of_weight[l] += passed * w;
                      of_rounded[l] += gradient[at + l] * value_of(level, r.least, r.most, r.zero_point, r.scale);
                    }
                  };
                  const int64_t whole = count / kWeightLanes * kWeightLanes;
                  for (int64_t i = 0; i < whole; i += kWeightLanes) take(i, kWeightLanes);
                  take(whole, count - whole);
                  double all_of_weight = 0;
                  double all_of_rounded = 0;
                  for (int64_t l = 0; l < kWeightLanes; ++l) {
                    all_of_weight += of_weight[l];
                    all_of_rounded += of_rounded[l];
                  }
                  *sums = {all_of_weight, all_of_rounded};
                })

bool is_float_row(const at::Tensor& values, int64_t count) {
  return plain_values<float>(values) != nullptr && values.numel() == count;
}

at::Tensor float_row(int64_t count) { return at::empty({count}, at::kFloat); }

// The memory of the one is that of the other, element by element.
bool lies_like(const at::Tensor& x, const at::Tensor& other) {
  if (other.scalar_type() != at::kFloat || !other.device().is_cpu() || other.layout() != at::kStrided) return false;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (x.size(i) != 1 && x.stride(i) != other.stride(i)) return false;
  }
  return true;
}

// Rows of the weight on as many threads as they are worth.
void for_channels(int64_t channels, int64_t each, const std::function<void(int64_t)>& work) {
  parallel_for(0, channels, std::max<int64_t>(1, kWeightGrain / each), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) work(c);
  });
}

// Grid and factor of each channel.
class WeightRows {
 public:
  WeightRows(at::Tensor factor, const WeightGrid& grid, bool divides)
      : factor_(std::move(factor)),
        scale_(grid.scale.detach().to(at::kFloat).contiguous()),
        zero_point_(grid.zero_point.detach().to(at::kFloat).contiguous()),
        least_(grid.is_none ? -std::numeric_limits<float>::infinity() : float_bound(grid.quant_min)),
        most_(grid.is_none ? std::numeric_limits<float>::infinity() : float_bound(grid.quant_max)),
        divides_(divides) {
    const int64_t channels = factor_.numel();
    if ((scale_.numel() != 1 && scale_.numel() != channels) || zero_point_.numel() != scale_.numel()) {
      throw expected(kWeightWhere, "scales and zero points", octet::str("1, or ", channels, " as there are channels"),
                     octet::str(scale_.numel(), " and ", zero_point_.numel()));
    }
  }
  WeightRow row(int64_t channel) const {
    const int64_t of_grid = scale_.numel() == 1 ? 0 : channel;
    const float factor = factor_.const_data_ptr<float>()[channel];
    const float scale = scale_.const_data_ptr<float>()[of_grid];
    return {factor,
            divides_ ? 1.0F / factor : 1.0F,
            1.0F / scale,
            scale,
            zero_point_.const_data_ptr<float>()[of_grid],
            least_,
            most_};
  }
  const at::Tensor& factor() const { return factor_; }
  const at::Tensor& scale() const { return scale_; }
  const at::Tensor& zero_point() const { return zero_point_; }

 private:
  at::Tensor factor_;
  at::Tensor scale_;
  at::Tensor zero_point_;
  float least_;
  float most_;
  bool divides_;
};

ScaledWeight scaled_weight(const at::Tensor& weight, const at::Tensor& factor) {
  const int64_t channels = weight.size(0);
  const int64_t each = weight.numel() / channels;
  ScaledWeight made{at::empty_like(weight), factor, float_row(channels), float_row(channels)};
  const float* from = weight.const_data_ptr<float>();
  const float* factors = factor.const_data_ptr<float>();
  float* to = made.values.mutable_data_ptr<float>();
  float* low = made.low.mutable_data_ptr<float>();
  float* high = made.high.mutable_data_ptr<float>();
  for_channels(channels, each, [&](int64_t c) {
    RowRange range;
    scale_weight_row(from + c * each, to + c * each, each, factors[c], &range);
    low[c] = range.low;
    high[c] = range.high;
  });
  return made;
}

// The same by plain operators, for a second derivative. `deviation` is sqrt(variance + eps).
at::Tensor round_weight_reference(const at::Tensor& weight, const at::Tensor& gamma, const at::Tensor& deviation,
                                  double least_gamma, bool divides, const WeightGrid& grid) {
  at::Tensor taken = gamma;
  if (gamma.defined() && least_gamma > 0) {
    const at::Tensor floor = at::where(gamma < 0, -least_gamma, least_gamma).to(gamma.scalar_type());
    taken = at::where(gamma.abs() < least_gamma, floor, gamma);
  }
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  shape[0] = weight.size(0);
  const at::Tensor factor = (taken.defined() ? taken / deviation : deviation.reciprocal()).view(shape);
  const at::Tensor scaled = weight * factor;
  const at::Tensor rounded =
      grid.is_none ? scaled
                   : fake_quantize_reference(scaled, grid.scale, grid.zero_point, grid.scale.numel() == 1 ? -1 : 0,
                                             grid.quant_min, grid.quant_max);
  return divides ? rounded * factor.reciprocal() : rounded;
}

struct RoundWeightRequest {
  const WeightScaling& scaling;
  const ChooseWeightGrid& choose;
  at::Tensor* multiples;  // null: not asked for
};

struct RoundWeight : torch::autograd::Function<RoundWeight> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& weight,
                            const std::optional<at::Tensor>& gamma, const RoundWeightRequest* request) {
    const WeightScaling& scaling = request->scaling;
    const ScaledWeight scaled = scaled_weight(weight, weight_factor(scaling));
    const WeightGrid grid = request->choose(scaled);
    const WeightRows rows(scaled.factor, grid, scaling.divides);
    const int64_t each = weight.numel() / weight.size(0);
    at::Tensor result = at::empty_like(weight);
    const float* from = scaled.values.const_data_ptr<float>();
    float* to = result.mutable_data_ptr<float>();
    if (request->multiples != nullptr && !grid.is_none) {
      at::Tensor multiples = at::empty_like(weight, weight.options().dtype(at::kChar));
      int8_t* whole = multiples.mutable_data_ptr<int8_t>();
      std::atomic<bool> all_fit{true};
      for_channels(weight.size(0), each, [&](int64_t c) {
        bool fits = true;
        round_weight_multiples_row(from + c * each, to + c * each, whole + c * each, each, rows.row(c), &fits);
        if (!fits) all_fit = false;
      });
      if (all_fit) *request->multiples = multiples;
    } else {
      for_channels(weight.size(0), each,
                   [&](int64_t c) { round_weight_row(from + c * each, to + c * each, each, rows.row(c)); });
    }
    // Buffers change with the next step; these are copies.
    const at::Tensor deviation = deviation_of(scaling);
    context->save_for_backward({weight, gamma.value_or(at::Tensor()), deviation, rows.factor(), rows.scale().clone(),
                                rows.zero_point().clone()});
    context->saved_data["least_gamma"] = scaling.least_gamma;
    context->saved_data["divides"] = scaling.divides;
    context->saved_data["quant_min"] = grid.quant_min;
    context->saved_data["quant_max"] = grid.quant_max;
    context->saved_data["is_none"] = grid.is_none;
    return result;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const torch::autograd::variable_list held = context->get_saved_variables();
    const at::Tensor& weight = held[0];
    const at::Tensor& gamma = held[1];
    const at::Tensor& deviation = held[2];
    const double least_gamma = context->saved_data["least_gamma"].toDouble();
    const bool divides = context->saved_data["divides"].toBool();
    const WeightGrid grid{held[4], held[5], context->saved_data["quant_min"].toInt(),
                          context->saved_data["quant_max"].toInt(), context->saved_data["is_none"].toBool()};
    const bool to_weight = context->needs_input_grad(0);
    const bool to_gamma = gamma.defined() && context->needs_input_grad(1);
    torch::autograd::variable_list results(3);
    if (!gradients[0].defined()) return results;
    if (torch::GradMode::is_enabled()) {  // a second derivative is asked for
      torch::autograd::variable_list inputs;
      if (to_weight) inputs.push_back(weight);
      if (to_gamma) inputs.push_back(gamma);
      const at::Tensor y = round_weight_reference(weight, gamma, deviation, least_gamma, divides, grid);
      const torch::autograd::variable_list found = torch::autograd::grad({y}, inputs, {gradients[0]}, true, true, true);
      if (to_weight) results[0] = found.front();
      if (to_gamma) results[1] = found.back();
      return results;
    }
    const WeightRows rows(held[3], grid, divides);
    const at::Tensor gradient =
        lies_like(weight, gradients[0]) ? gradients[0] : at::empty_like(weight).copy_(gradients[0]);
    const int64_t channels = weight.size(0);
    const int64_t each = weight.numel() / channels;
    results[0] = at::empty_like(weight);
    at::Tensor of_gamma = to_gamma ? at::empty_like(gamma) : at::Tensor();
    const float* values = weight.const_data_ptr<float>();
    const float* given = gradient.const_data_ptr<float>();
    const float* deviations = deviation.const_data_ptr<float>();
    const float* gammas = to_gamma ? gamma.const_data_ptr<float>() : nullptr;
    float* to = results[0].mutable_data_ptr<float>();
    float* gamma_gradient = to_gamma ? of_gamma.mutable_data_ptr<float>() : nullptr;
    for_channels(channels, each, [&](int64_t c) {
      const WeightRow row = rows.row(c);
      FactorSums sums;
      weight_gradient_row(values + c * each, given + c * each, to + c * each, each, row, &sums);
      if (gammas == nullptr) return;
      const double back = row.back;
      const double of_factor = sums.of_weight - (divides ? back * back * sums.of_rounded : 0.0);
      const bool passes = !(std::abs(gammas[c]) < static_cast<float>(least_gamma));
      gamma_gradient[c] = passes ? static_cast<float>(of_factor / deviations[c]) : 0.0F;
    });
    results[1] = of_gamma;
    return results;
  }

  static at::Tensor deviation_of(const WeightScaling& scaling) {
    const int64_t channels = scaling.variance.numel();
    at::Tensor made = float_row(channels);
    const float* variance = scaling.variance.const_data_ptr<float>();
    float* to = made.mutable_data_ptr<float>();
    for (int64_t c = 0; c < channels; ++c) to[c] = std::sqrt(variance[c] + static_cast<float>(scaling.eps));
    return made;
  }
};

}  // namespace

// Float32 step by step, as ATen computes the operators.
at::Tensor weight_factor(const WeightScaling& scaling) {
  at::Tensor made = RoundWeight::deviation_of(scaling);
  const float* gamma = scaling.gamma.defined() ? scaling.gamma.const_data_ptr<float>() : nullptr;
  const auto least = static_cast<float>(scaling.least_gamma);
  float* factor = made.mutable_data_ptr<float>();
  for (int64_t c = 0; c < made.numel(); ++c) {
    float taken = gamma == nullptr ? 1.0F : gamma[c];
    if (gamma != nullptr && std::abs(taken) < least) taken = taken < 0 ? -least : least;
    factor[c] = taken / factor[c];
  }
  return made;
}

bool takes_round_weight(const at::Tensor& weight, const WeightScaling& scaling) {
  if (!weight.defined() || weight.dim() < 1 || weight.numel() == 0 || !weight.device().is_cpu()) return false;
  if (weight.scalar_type() != at::kFloat || weight.layout() != at::kStrided) return false;
  const int64_t channels = weight.size(0);
  const bool in_rows =
      weight.is_non_overlapping_and_dense() && (channels == 1 || weight.stride(0) * channels == weight.numel());
  return in_rows && scaling.variance.defined() && is_float_row(scaling.variance, channels) &&
         (!scaling.gamma.defined() || is_float_row(scaling.gamma, channels));
}

at::Tensor round_weight(const at::Tensor& weight, const WeightScaling& scaling, const ChooseWeightGrid& choose,
                        at::Tensor* multiples) {
  if (!takes_round_weight(weight, scaling)) {
    throw Error(kWeightWhere, "takes float32 weights with their channels in dimension 0, each in one piece");
  }
  const RoundWeightRequest request{scaling, choose, multiples};
  const std::optional<at::Tensor> gamma = scaling.gamma.defined() ? std::optional(scaling.gamma) : std::nullopt;
  return RoundWeight::apply(weight, gamma, &request);
}

}  // namespace octet
