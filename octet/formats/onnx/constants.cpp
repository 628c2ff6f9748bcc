#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {

void build_constant(Step& step) {
  if (step.has_attribute("value")) return step.give(step.constant(step.tensor("value")));
  if (step.has_attribute("value_float"))
    return step.give(step.constant(at::scalar_tensor(step.number("value_float", 0.0), at::kFloat)));
  if (step.has_attribute("value_int"))
    return step.give(step.constant(at::scalar_tensor(step.integer("value_int", 0), at::kLong)));
  if (step.has_attribute("value_ints")) {
    const std::vector<int64_t> values = step.integers("value_ints");
    return step.give(step.constant(at::tensor(values, at::kLong)));
  }
  if (step.has_attribute("value_floats")) {
    const std::vector<double> values = step.numbers("value_floats");
    return step.give(step.constant(at::tensor(values, at::kDouble).to(at::kFloat)));
  }
  step.refuse("value", "a tensor or numbers", "none that octet reads: texts, or a sparse tensor");
}

void build_constant_of_shape(Step& step) {
  const std::vector<int64_t> sizes = step.integers(0, "shape");
  at::Tensor value = step.tensor("value");
  if (!value.defined()) value = at::zeros({1});
  if (value.numel() != 1) step.refuse("value", "one number", str(value.numel()));
  step.charge_constant(sizes, value.scalar_type());
  step.give(step.constant(value.reshape({}).expand(sizes).clone(at::MemoryFormat::Contiguous)));
}

void build_shape(Step& step) {
  const std::vector<int64_t> sizes = step.sizes(0);
  const auto rank = static_cast<int64_t>(sizes.size());
  const auto place = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t begin = place(step.integer("start", 0));
  const int64_t end = std::max(begin, place(step.integer("end", rank)));
  step.give(step.constant(
      at::tensor(std::vector<int64_t>(sizes.begin() + begin, sizes.begin() + end), at::TensorOptions(at::kLong))));
}

void build_size(Step& step) {
  int64_t count = 1;
  for (const int64_t size : step.sizes(0)) count *= size;
  step.give(step.constant(at::scalar_tensor(count, at::kLong)));
}

void build_range(Step& step) {
  const double begin = step.number(0, "start");
  const double end = step.number(1, "limit");
  const double delta = step.number(2, "delta");
  const double count = std::ceil((end - begin) / delta);
  if (delta == 0 || !std::isfinite(count)) step.refuse("delta", "a number other than 0", str(delta));
  const auto size = static_cast<int64_t>(std::clamp(count, 0.0, 1e15));
  step.charge_constant({size}, at::kDouble);
  step.give(step.constant((at::arange(size, at::kDouble) * delta + begin).to(step.dtype(0))));
}

void build_trilu(Step& step) {
  const int64_t diagonal = step.has(1) ? static_cast<int64_t>(step.number(1, "k")) : 0;
  step.give(
      step.call(step.integer("upper", 1) != 0 ? "aten.triu.default" : "aten.tril.default", {step.in(0), diagonal}));
}

}  // namespace octet::onnx
