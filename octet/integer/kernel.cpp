#include "octet/integer/kernel.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernel_table.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;
using tflite::Type;

const Tensor& KernelContext::input(size_t index) const {
  if (!has_input(index)) fail("inputs", octet::str("at least ", index + 1), std::to_string(op.inputs.size()));
  return model.tensors[static_cast<size_t>(op.inputs[index])];
}

const Tensor& KernelContext::output(size_t index) const {
  if (index >= op.outputs.size())
    fail("outputs", octet::str("at least ", index + 1), std::to_string(op.outputs.size()));
  return model.tensors[static_cast<size_t>(op.outputs[index])];
}

float KernelContext::scale(const Tensor& tensor) const {
  const auto& scales = tensor.quantization.scale;
  if (scales.size() != 1) fail("scales of '" + tensor.name + "'", "1", std::to_string(scales.size()));
  if (!(scales[0] > 0.0F) || !std::isfinite(scales[0])) {
    fail("scale of '" + tensor.name + "'", "a positive number", octet::str(scales[0]));
  }
  return scales[0];
}

int32_t KernelContext::zero_point(const Tensor& tensor) const {
  const auto& points = tensor.quantization.zero_point;
  if (points.size() != 1) fail("zero points of '" + tensor.name + "'", "1", std::to_string(points.size()));
  const auto [low, high] = levels(tensor);
  if (points[0] < low || points[0] > high) {
    fail("zero point of '" + tensor.name + "'", octet::str(low, " to ", high), std::to_string(points[0]));
  }
  return static_cast<int32_t>(points[0]);
}

tflite::LevelRange KernelContext::levels(const Tensor& tensor) const {
  const std::optional<tflite::LevelRange> range = tflite::level_range(tensor.type);
  if (!range) fail("type of '" + tensor.name + "'", "one of integers", tflite::type_name(tensor.type));
  return *range;
}

std::vector<int64_t> KernelContext::integers(size_t index) const {
  const Tensor& tensor = input(index);
  if (!tensor.is_constant) fail(octet::str("input ", index), "a constant", "a computed value");
  std::vector<int64_t> values(static_cast<size_t>(tensor.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (tensor.type == Type::kInt32) {
      int32_t value = 0;
      std::memcpy(&value, tensor.data.data() + 4 * i, 4);
      values[i] = value;
    } else if (tensor.type == Type::kInt64) {
      std::memcpy(&values[i], tensor.data.data() + 8 * i, 8);
    } else {
      fail(octet::str("type of input ", index), "int32", tflite::type_name(tensor.type));
    }
  }
  return values;
}

std::string KernelContext::where() const {
  std::string name = tflite::op_name(op.code);
  if (op.outputs.empty()) return name;
  return name + " '" + model.tensors[static_cast<size_t>(op.outputs[0])].name + "'";
}

void KernelContext::fail(const std::string& what, const std::string& wanted, const std::string& got) const {
  throw expected(where(), what, wanted, got);
}

void KernelContext::require_type(const Tensor& tensor, Type type) const {
  if (tensor.type == type) return;
  fail("type of '" + tensor.name + "'", tflite::type_name(type), tflite::type_name(tensor.type));
}

void KernelContext::require_levels(const Tensor& tensor) const {
  if (!is_level_type(tensor.type)) {
    fail("type of '" + tensor.name + "'", "int8, uint8 or int16", tflite::type_name(tensor.type));
  }
  if (tensor.type == Type::kInt16 && zero_point(tensor) != 0) {
    fail("zero point of '" + tensor.name + "'", "0, as int16 has it", std::to_string(zero_point(tensor)));
  }
}

void KernelContext::require_images(std::initializer_list<const Tensor*> tensors, Type type) const {
  for (const Tensor* tensor : tensors) {
    require_type(*tensor, type);
    require_rank(*tensor, 4);
  }
}

void KernelContext::require_rank(const Tensor& tensor, size_t rank) const {
  if (tensor.shape.size() == rank) return;
  fail("dimensions of '" + tensor.name + "'", std::to_string(rank), std::to_string(tensor.shape.size()));
}

namespace {

std::string shape_text(const Tensor& tensor) { return octet::str("[", join(", ", tensor.shape), "]"); }

}  // namespace

void KernelContext::require_same_shape(const Tensor& a, const Tensor& b) const {
  if (a.shape == b.shape) return;
  fail("shape of '" + b.name + "'", shape_text(a), shape_text(b));
}

void KernelContext::require_named_shape(size_t index) const {
  if (!has_input(index) || !input(index).is_constant) return;
  const std::vector<int64_t> wanted = integers(index);
  const std::vector<int64_t>& got = output().shape;
  bool fits = wanted.size() == got.size();
  for (size_t d = 0; d < wanted.size() && fits; ++d) {
    const bool is_multiple = d == 0 && wanted[d] > 0 && got[d] % wanted[d] == 0;
    fits = wanted[d] == got[d] || wanted[d] == -1 || is_multiple;
  }
  if (fits) return;
  fail("output shape", octet::str("[", join(", ", wanted), "]"), octet::str("[", join(", ", got), "]"));
}

void KernelContext::require_same_grid(const Tensor& a, const Tensor& b) const {
  if (scale(a) == scale(b) && zero_point(a) == zero_point(b)) return;
  fail("grid of '" + b.name + "'", octet::str("that of '", a.name, "', ", scale(a), " zero point ", zero_point(a)),
       octet::str(scale(b), " zero point ", zero_point(b)));
}

Bounds activation_bounds(const KernelContext& context, tflite::Activation activation) {
  const Tensor& output = context.output();
  const tflite::LevelRange range = context.levels(output);
  const Bounds whole = {static_cast<int32_t>(range.low), static_cast<int32_t>(range.high)};
  const auto level = [&](float value) { return wide_level(value, context.scale(output), context.zero_point(output)); };
  switch (activation) {
    case tflite::Activation::kNone:
      return whole;
    case tflite::Activation::kRelu:
      return {std::max(whole.low, level(0.0F)), whole.high};
    case tflite::Activation::kRelu6:
      return {std::max(whole.low, level(0.0F)), std::min(whole.high, level(6.0F))};
    case tflite::Activation::kReluN1To1:
      return {std::max(whole.low, level(-1.0F)), std::min(whole.high, level(1.0F))};
  }
  return whole;
}

namespace {

// Sizes beside a 0 mean nothing, and may be absurd.
bool writes_nothing(const KernelContext& context) {
  return std::all_of(context.op.outputs.begin(), context.op.outputs.end(),
                     [&](int32_t output) { return context.model.tensors[static_cast<size_t>(output)].numel() == 0; });
}

}  // namespace

Kernel make_kernel(const KernelContext& context) {
  const KernelRow* row = kernel_table().find(context.op.code);
  if (row == nullptr) throw Error(context.where(), "is not an operator that octet's executor knows");
  if (row->any_type != nullptr) return writes_nothing(context) ? Kernel([](const Values&) {}) : row->any_type(context);
  const Type type = context.output().type;
  const bool is_whole = row->on_whole_numbers && (type == Type::kInt32 || type == Type::kInt64);
  if (type == Type::kFloat32 || is_whole) return make_float(context, *row);
  if (row->int8 == nullptr) throw Error(context.where(), "octet's executor has no int8 kernel for it");
  return row->int8(context);
}

}  // namespace octet::integer
