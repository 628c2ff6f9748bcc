#include "octet/quantize/decomposed_ops.h"

#include <torch/library.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "octet/formats/dtype.h"
#include "octet/graph/late_operators.h"
#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/kernels/levels.h"
#include "octet/quantize/observer.h"
#include "octet/support/error.h"

namespace octet {
namespace decomposed {
namespace {

constexpr const char* kNamespace = "quantized_decomposed";

using OptionalDtype = std::optional<at::ScalarType>;
using Pair = std::tuple<at::Tensor, at::Tensor>;

at::Tensor widened(const at::Tensor& x, const char* where) {
  if (x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16) return x.to(at::kFloat);
  if (x.scalar_type() != at::kFloat) {
    throw expected(where, "input", "float32, float16 or bfloat16", dtype_name(x.scalar_type()));
  }
  return x;
}

void check_bounds(int64_t quant_min, int64_t quant_max, at::ScalarType dtype, const char* where) {
  const auto whole = dtype_range(dtype);
  if (!whole) throw Error(where, octet::str("cannot quantize to ", dtype_name(dtype)));
  if (quant_min < whole->first || quant_max > whole->second || quant_min > quant_max) {
    throw expected(where, octet::str("range of ", dtype_name(dtype)),
                   octet::str("within [", whole->first, ", ", whole->second, "]"),
                   octet::str("[", quant_min, ", ", quant_max, "]"));
  }
}

void check_stored(const at::Tensor& q, at::ScalarType dtype, const char* where) {
  if (q.scalar_type() != dtype) throw expected(where, "input", dtype_name(dtype), dtype_name(q.scalar_type()));
  if (!dtype_range(dtype)) throw Error(where, octet::str("cannot dequantize ", dtype_name(dtype)));
}

at::Tensor clamped(const at::Tensor& q, int64_t quant_min, int64_t quant_max) {
  return at::clamp(q, float_bound(quant_min), float_bound(quant_max));
}

// `values` seen along dimension `axis` of a tensor of this rank.
at::Tensor along(const at::Tensor& values, const at::Tensor& x, int64_t axis, const char* where) {
  if (axis < 0 || axis >= x.dim()) {
    throw expected(where, "axis", octet::str("0 to ", x.dim() - 1), octet::str(axis));
  }
  if (values.numel() != x.size(axis)) {
    throw expected(where, "scales and zero points", octet::str(x.size(axis)), octet::str(values.numel()));
  }
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[static_cast<size_t>(axis)] = values.numel();
  return values.reshape(shape);
}

double number(const at::Tensor& tensor, const char* where) {
  if (tensor.numel() != 1) throw expected(where, "parameter", "one element", octet::str(tensor.numel()));
  return tensor.item().toDouble();
}

int64_t integer(const at::Tensor& tensor, const char* where) {
  if (tensor.numel() != 1) throw expected(where, "parameter", "one element", octet::str(tensor.numel()));
  return tensor.item().toLong();
}

at::Tensor quantize_per_tensor_tensor(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                      int64_t quant_min, int64_t quant_max, at::ScalarType dtype) {
  constexpr const char* kWhere = "quantize_per_tensor.tensor";
  return quantize_per_tensor(x, number(scale, kWhere), integer(zero_point, kWhere), quant_min, quant_max, dtype);
}

at::Tensor quantize_per_tensor_tensor2(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& zero_point,
                                       const at::Tensor& quant_min, const at::Tensor& quant_max, at::ScalarType dtype) {
  constexpr const char* kWhere = "quantize_per_tensor.tensor2";
  return quantize_per_tensor(x, number(scale, kWhere), integer(zero_point, kWhere), integer(quant_min, kWhere),
                             integer(quant_max, kWhere), dtype);
}

at::Tensor dequantize_per_tensor_tensor(const at::Tensor& q, const at::Tensor& scale, const at::Tensor& zero_point,
                                        int64_t quant_min, int64_t quant_max, at::ScalarType dtype,
                                        OptionalDtype out_dtype) {
  constexpr const char* kWhere = "dequantize_per_tensor.tensor";
  return dequantize_per_tensor(q, number(scale, kWhere), integer(zero_point, kWhere), quant_min, quant_max, dtype,
                               out_dtype);
}

at::Tensor dequantize_per_tensor_tensor2(const at::Tensor& q, const at::Tensor& scale, const at::Tensor& zero_point,
                                         const at::Tensor& quant_min, const at::Tensor& quant_max, at::ScalarType dtype,
                                         OptionalDtype out_dtype) {
  constexpr const char* kWhere = "dequantize_per_tensor.tensor2";
  return dequantize_per_tensor(q, number(scale, kWhere), integer(zero_point, kWhere), integer(quant_min, kWhere),
                               integer(quant_max, kWhere), dtype, out_dtype);
}

// The dynamic path's own arithmetic: float32 division, the quotient by eps and the results then in double and int64.
Pair choose(const at::Tensor& x, int64_t quant_min, int64_t quant_max, double eps, at::ScalarType dtype,
            at::QScheme qscheme, const char* where) {
  const at::Tensor wide = widened(x, where);
  if (!dtype_range(dtype)) throw Error(where, octet::str("cannot quantize to ", dtype_name(dtype)));
  const auto [low, high] = min_max(wide);
  const int64_t middle = dtype == at::kByte ? 128 : 0;
  const QParams grid = choose_qparams(low, high, quant_min, quant_max, qscheme, eps, middle);
  return {grid.scale.to(at::kDouble), grid.zero_point};
}

Pair choose_qparams_tensor(const at::Tensor& x, int64_t quant_min, int64_t quant_max, double eps,
                           at::ScalarType dtype) {
  return choose(x, quant_min, quant_max, eps, dtype, at::kPerTensorAffine, "choose_qparams");
}

Pair choose_qparams_symmetric_tensor(const at::Tensor& x, int64_t quant_min, int64_t quant_max, double eps,
                                     at::ScalarType dtype) {
  return choose(x, quant_min, quant_max, eps, dtype, at::kPerTensorSymmetric, "choose_qparams_symmetric");
}

Pair choose_qparams_per_token(const at::Tensor& x, at::ScalarType dtype) {
  if (dtype != at::kChar) throw expected("choose_qparams_per_token", "dtype", "int8", dtype_name(dtype));
  at::Tensor scales = x.abs().amax({-1}, true);
  if (scales.scalar_type() == at::kHalf) scales = scales.to(at::kFloat);
  scales = scales.clamp_min(1e-5).div(127);
  return {scales, at::zeros_like(scales)};
}

Pair choose_qparams_per_token_asymmetric(const at::Tensor& x, at::ScalarType /*dtype*/) {
  constexpr int64_t kLow = -128;
  constexpr int64_t kHigh = 127;
  const at::Tensor low = x.amin({-1}, true).clamp_max(0);
  const at::Tensor high = x.amax({-1}, true).clamp_min(0);
  const at::Tensor scale =
      ((high - low) / static_cast<double>(kHigh - kLow)).clamp_min(std::numeric_limits<float>::epsilon());
  const at::Tensor low_steps = low / scale;
  const at::Tensor high_steps = high / scale;
  // From the end of the range whose rounding costs less.
  const at::Tensor from_low = (low_steps + kLow) + (high_steps + kHigh) > 0;
  const at::Tensor zero_point = at::where(from_low, kLow - low_steps, kHigh - high_steps).clamp(kLow, kHigh).round();
  return {scale.to(at::kDouble), zero_point.to(at::kLong)};
}

at::Tensor quantize_per_token(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                              int64_t quant_min, int64_t quant_max, at::ScalarType dtype) {
  constexpr const char* kWhere = "quantize_per_token";
  check_bounds(quant_min, quant_max, dtype, kWhere);
  const int64_t tokens = x.dim() == 0 || x.size(-1) == 0 ? 1 : x.numel() / x.size(-1);
  if (scales.numel() != tokens || zero_points.numel() != tokens) {
    throw expected(kWhere, "scales and zero points", octet::str(tokens, " tokens"),
                   octet::str(scales.numel(), " and ", zero_points.numel()));
  }
  return clamped((x * at::reciprocal(scales) + zero_points).round(), quant_min, quant_max).to(dtype);
}

at::Tensor dequantize_per_token(const at::Tensor& q, const at::Tensor& scales, const at::Tensor& zero_points,
                                int64_t /*quant_min*/, int64_t /*quant_max*/, at::ScalarType /*dtype*/,
                                at::ScalarType output_dtype) {
  return ((q - zero_points) * scales).to(output_dtype);
}

// A row of `group` elements of a 2-D tensor shares its parameters; one group may be wider than the row.
int64_t checked_group(const at::Tensor& x, const at::Tensor& scales, int64_t group, const char* where) {
  if (x.dim() != 2) throw expected(where, "input rank", "2", octet::str(x.dim()));
  if (group <= 1) throw expected(where, "group_size", "2 or more", octet::str(group));
  if (group > x.size(-1) && scales.dim() > 0 && scales.size(-1) == 1) group = x.size(-1);
  if (group < 1 || x.size(-1) % group != 0) {
    throw expected(where, "group_size", octet::str("a divisor of ", x.size(-1)), octet::str(group));
  }
  return group;
}

at::Tensor quantize_per_channel_group(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                      int64_t quant_min, int64_t quant_max, at::ScalarType dtype, int64_t group_size) {
  constexpr const char* kWhere = "quantize_per_channel_group";
  const int64_t group = checked_group(x, scales, group_size, kWhere);
  if (at::isnan(x).any().item<bool>()) throw Error(kWhere, "input holds NaN");
  const at::Tensor rows = x.reshape({-1, group});
  const at::Tensor q = (rows * at::reciprocal(scales.reshape({-1, 1})) + zero_points.reshape({-1, 1})).round();
  return clamped(q, quant_min, quant_max).to(dtype).reshape(x.sizes());
}

at::Tensor dequantize_per_channel_group(const at::Tensor& q, const at::Tensor& scales,
                                        const std::optional<at::Tensor>& zero_points, int64_t /*quant_min*/,
                                        int64_t /*quant_max*/, at::ScalarType /*dtype*/, int64_t group_size,
                                        at::ScalarType output_dtype) {
  const int64_t group = checked_group(q, scales, group_size, "dequantize_per_channel_group");
  const bool shifted = zero_points && zero_points->defined();
  at::Tensor rows = q.reshape({-1, group});
  rows = shifted ? rows - zero_points->reshape({-1, 1}) : rows;
  return (rows * scales.reshape({-1, 1})).reshape(q.sizes()).to(output_dtype);
}

at::Tensor fake_quant_per_channel(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                  int64_t axis, int64_t quant_min, int64_t quant_max) {
  return octet::fake_quantize(x, scales, zero_points, axis, quant_min, quant_max);
}

at::Tensor convert_element_type(const at::Tensor& x, at::ScalarType dtype) { return x.to(dtype); }

}  // namespace

at::Tensor quantize_per_tensor(const at::Tensor& x, double scale, int64_t zero_point, int64_t quant_min,
                               int64_t quant_max, at::ScalarType dtype) {
  constexpr const char* kWhere = "quantize_per_tensor";
  check_bounds(quant_min, quant_max, dtype, kWhere);
  if (dtype == at::kChar) {
    if (at::Tensor levels = levels_of(x, scale, zero_point, quant_min, quant_max); levels.defined()) return levels;
  }
  const at::Tensor q = at::round(widened(x, kWhere) * (1.0 / scale)) + zero_point;
  return clamped(q, quant_min, quant_max).to(dtype);
}

at::Tensor dequantize_per_tensor(const at::Tensor& q, double scale, int64_t zero_point, int64_t /*quant_min*/,
                                 int64_t /*quant_max*/, at::ScalarType dtype, OptionalDtype out_dtype) {
  check_stored(q, dtype, "dequantize_per_tensor");
  return (q.to(out_dtype.value_or(at::kFloat)) - zero_point) * scale;
}

at::Tensor quantize_per_channel(const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zero_points,
                                int64_t axis, int64_t quant_min, int64_t quant_max, at::ScalarType dtype) {
  constexpr const char* kWhere = "quantize_per_channel";
  check_bounds(quant_min, quant_max, dtype, kWhere);
  const at::Tensor beside = along(scales, x, axis, kWhere), points = along(zero_points, x, axis, kWhere);
  if (axis == 0 && dtype == at::kChar) {
    if (at::Tensor levels = levels_of_rows(x, scales, zero_points, quant_min, quant_max); levels.defined())
      return levels;
  }
  const at::Tensor inverse = at::reciprocal(beside);
  const at::Tensor q = at::round(widened(x, kWhere) * inverse) + points;
  return clamped(q, quant_min, quant_max).to(dtype);
}

at::Tensor dequantize_per_channel(const at::Tensor& q, const at::Tensor& scales,
                                  const std::optional<at::Tensor>& zero_points, int64_t axis, int64_t /*quant_min*/,
                                  int64_t /*quant_max*/, at::ScalarType dtype, OptionalDtype out_dtype) {
  constexpr const char* kWhere = "dequantize_per_channel";
  check_stored(q, dtype, kWhere);
  const bool shifted = zero_points && zero_points->defined();
  const at::Tensor steps = shifted ? q - along(*zero_points, q, axis, kWhere) : q;
  return (steps * along(scales, q, axis, kWhere)).to(out_dtype.value_or(at::kFloat));
}

namespace {

// torch's own schemas, so that programs written by either run on both.
void define_missing() {
  // Never taken away again: programs may run until the process ends.
  static auto* library = new torch::Library(torch::Library::FRAGMENT, kNamespace, std::nullopt, __FILE__, __LINE__);
  const auto add_to = [&](c10::DispatchKey key, const std::string& schema, auto function) {
    const std::string name = schema.substr(0, schema.find('('));
    const size_t dot = name.find('.');
    const c10::OperatorName full(octet::str(kNamespace, "::", name.substr(0, dot)),
                                 dot == std::string::npos ? "" : name.substr(dot + 1));
    if (c10::Dispatcher::singleton().findSchema(full)) return;
    library->def(schema.c_str());
    library->impl(name.c_str(), key, std::move(function));
  };
  const auto add = [&](const std::string& schema, auto function) {
    add_to(c10::DispatchKey::CompositeExplicitAutograd, schema, std::move(function));
  };
  const std::string per_tensor = "int quant_min, int quant_max, ScalarType dtype";
  const std::string per_tensor2 = "Tensor quant_min, Tensor quant_max, ScalarType dtype";
  const std::string out = ", *, ScalarType? out_dtype=None) -> Tensor";
  add("quantize_per_tensor(Tensor input, float scale, int zero_point, " + per_tensor + ") -> Tensor",
      TORCH_FN(quantize_per_tensor));
  add("quantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, " + per_tensor + ") -> Tensor",
      TORCH_FN(quantize_per_tensor_tensor));
  add("quantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, " + per_tensor2 + ") -> Tensor",
      TORCH_FN(quantize_per_tensor_tensor2));
  add("dequantize_per_tensor(Tensor input, float scale, int zero_point, " + per_tensor + out,
      TORCH_FN(dequantize_per_tensor));
  add("dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, " + per_tensor + out,
      TORCH_FN(dequantize_per_tensor_tensor));
  add("dequantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, " + per_tensor2 + out,
      TORCH_FN(dequantize_per_tensor_tensor2));
  add("choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype)"
      " -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_tensor));
  add("choose_qparams_symmetric.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType dtype)"
      " -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_symmetric_tensor));
  add("quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, " + per_tensor + ") -> Tensor",
      TORCH_FN(quantize_per_channel));
  add("dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, " + per_tensor + out,
      TORCH_FN(dequantize_per_channel));
  add("choose_qparams_per_token(Tensor input, ScalarType dtype) -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_per_token));
  add("_choose_qparams_per_token_asymmetric_impl(Tensor input, ScalarType dtype) -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_per_token_asymmetric));
  add("choose_qparams_per_token_asymmetric(Tensor input, ScalarType dtype) -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_per_token_asymmetric));
  add("quantize_per_token(Tensor input, Tensor scales, Tensor zero_points, " + per_tensor + ") -> Tensor",
      TORCH_FN(quantize_per_token));
  add("dequantize_per_token(Tensor input, Tensor scales, Tensor zero_points, " + per_tensor +
          ", ScalarType output_dtype) -> Tensor",
      TORCH_FN(dequantize_per_token));
  add("quantize_per_channel_group(Tensor input, Tensor scales, Tensor zero_points, " + per_tensor +
          ", int group_size) -> Tensor",
      TORCH_FN(quantize_per_channel_group));
  add("dequantize_per_channel_group(Tensor input, Tensor scales, Tensor? zero_points, " + per_tensor +
          ", int group_size, ScalarType output_dtype) -> Tensor",
      TORCH_FN(dequantize_per_channel_group));
  add_to(c10::DispatchKey::CompositeImplicitAutograd,
         "fake_quant_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int quant_min, int "
         "quant_max) -> Tensor",
         TORCH_FN(fake_quant_per_channel));
  add("convert_element_type.no_fuse(Tensor input, ScalarType dtype) -> Tensor", TORCH_FN(convert_element_type));
}

const LateOperators late(kNamespace, define_missing);

}  // namespace
}  // namespace decomposed
}  // namespace octet
