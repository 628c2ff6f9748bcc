#include "octet/integer/kernels/float_in_order.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace octet::integer {
namespace {

template <typename Function>
at::Tensor of_each(const at::Tensor& x, Function function) {
  const at::Tensor from = x.contiguous();
  at::Tensor result = at::empty_like(from);
  const auto* first = from.const_data_ptr<float>();
  std::transform(first, first + from.numel(), result.mutable_data_ptr<float>(), function);
  return result;
}

// Calls visit(from, to, count) for the rows along the last dimension.
template <typename Visit>
at::Tensor of_rows(const at::Tensor& x, Visit visit) {
  const at::Tensor from = x.contiguous();
  at::Tensor result = at::empty_like(from);
  const int64_t depth = from.dim() == 0 ? 1 : from.size(-1);
  for (int64_t i = 0; i < from.numel(); i += depth) {
    visit(from.const_data_ptr<float>() + i, result.mutable_data_ptr<float>() + i, depth);
  }
  return result;
}

// One exponent for all that is a whole number: by squares, from the highest bit on.
float whole_power(float base, int exponent) {
  if (exponent == 1) return base;
  const float half = whole_power(base, exponent / 2);
  return exponent % 2 == 0 ? half * half : base * (half * half);
}

float greatest(const float* x, int64_t count) {
  float most = std::numeric_limits<float>::lowest();
  for (int64_t k = 0; k < count; ++k) most = std::max(most, x[k]);
  return most;
}

}  // namespace

MakeFloat each(float (*function)(float)) {
  return of_one([function](const at::Tensor& x) { return of_each(x, function); });
}

float logistic(float x) {
  if (x > 16.619047164916992188F) return 1.0F;  // where 1 + exp(-x) is 1
  if (x < -9.0F) return std::exp(x);
  return 1.0F / (1.0F + std::exp(-x));
}

at::Tensor gelu(const at::Tensor& x, const tflite::Options& how) {
  if (how.approximate) {
    const auto factor = static_cast<float>(M_2_SQRTPI * M_SQRT1_2);
    return of_each(x, [=](float v) { return 0.5F * v * (1.0F + std::tanh(factor * (v + 0.044715F * v * v * v))); });
  }
  const auto factor = static_cast<float>(-M_SQRT1_2);
  return of_each(x, [=](float v) { return 0.5F * v * std::erfc(v * factor); });
}

at::Tensor power(const at::Tensor& base, const at::Tensor& exponent) {
  const std::vector<int64_t> shape = at::infer_size(base.sizes(), exponent.sizes());
  const at::Tensor x = base.expand(shape).contiguous(), by = exponent.expand(shape).contiguous();
  if (exponent.numel() == 1) {
    const auto e = exponent.item<float>();
    if (e == std::floor(e) && e >= 1 && e <= 1024) {
      return of_each(x, [=](float v) { return whole_power(v, static_cast<int>(e)); });
    }
  }
  at::Tensor result = at::empty_like(x);
  const auto* first = x.const_data_ptr<float>();
  std::transform(first, first + x.numel(), by.const_data_ptr<float>(), result.mutable_data_ptr<float>(),
                 [](float v, float e) { return std::pow(v, e); });
  return result;
}

at::Tensor softmax(const at::Tensor& x, const tflite::Options& how) {
  return of_rows(x, [&](const float* from, float* to, int64_t count) {
    const float most = greatest(from, count);
    float sum = 0;
    for (int64_t k = 0; k < count; ++k) sum += to[k] = std::exp((from[k] - most) * how.beta);
    for (int64_t k = 0; k < count; ++k) to[k] /= sum;
  });
}

at::Tensor log_softmax(const at::Tensor& x) {
  return of_rows(x, [](const float* from, float* to, int64_t count) {
    const float most = greatest(from, count);
    float sum = 0;
    for (int64_t k = 0; k < count; ++k) sum += std::exp(from[k] - most);
    const float log_sum = std::log(sum);
    for (int64_t k = 0; k < count; ++k) to[k] = from[k] - most - log_sum;
  });
}

at::Tensor product(const at::Tensor& left, const at::Tensor& right) {
  const at::Tensor x = left.contiguous(), y = right.contiguous();
  const int64_t rows = x.size(0), depth = x.size(1), columns = y.size(1);
  at::Tensor result = at::zeros({rows, columns}, x.options());
  const auto* from = x.const_data_ptr<float>();
  const auto* by = y.const_data_ptr<float>();
  auto* to = result.mutable_data_ptr<float>();
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t j = 0; j < columns; ++j) to[i * columns + j] += from[i * depth + k] * by[k * columns + j];
    }
  }
  return result;
}

}  // namespace octet::integer
