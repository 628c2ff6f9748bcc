#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/support/error.h"

namespace octet::test {

/// How far two programs may differ where ranges were measured.
struct ProgramTolerance {
  double scale = 0.0;      ///< relative
  int64_t zero_point = 0;  ///< in steps
  double bias = 0.0;       ///< relative to the largest of the tensor, in int32
};

inline std::string text_of(const tflite::Tensor& tensor) {
  return octet::str(tflite::type_name(tensor.type), "[", join(", ", tensor.shape), "]",
                    tensor.is_constant ? " constant" : "");
}

inline std::string difference(const tflite::Tensor& got, const tflite::Tensor& wanted, const ProgramTolerance& may) {
  if (got.type != wanted.type || got.shape != wanted.shape || got.is_constant != wanted.is_constant) {
    return octet::str(text_of(got), " instead of ", text_of(wanted));
  }
  const auto& a = got.quantization;
  const auto& b = wanted.quantization;
  if (a.scale.size() != b.scale.size()) return octet::str(a.scale.size(), " scales instead of ", b.scale.size());
  if (a.scale.size() > 1 && a.axis != b.axis) return octet::str("axis ", a.axis, " instead of ", b.axis);
  const bool is_measured = !got.is_constant || wanted.type == tflite::Type::kInt32 || wanted.numel() == 1;
  for (size_t c = 0; c < a.scale.size(); ++c) {
    const double tolerance = is_measured ? may.scale : 1e-6;
    if (std::abs(a.scale[c] / b.scale[c] - 1.0F) > tolerance) {
      return octet::str("scale ", a.scale[c], " instead of ", b.scale[c]);
    }
    if (std::abs(a.zero_point[c] - b.zero_point[c]) > (is_measured ? may.zero_point : 0)) {
      return octet::str("zero point ", a.zero_point[c], " instead of ", b.zero_point[c]);
    }
  }
  if (!got.is_constant || got.data == wanted.data) return "";
  if (got.data.size() != wanted.data.size()) return "other bytes";
  if (wanted.type == tflite::Type::kInt32 && !b.scale.empty()) {  // a bias, in steps of a measured scale
    double largest = 1.0, apart = 0.0;
    for (size_t at = 0; at < got.data.size(); at += 4) {
      int32_t x = 0, y = 0;
      std::memcpy(&x, got.data.data() + at, 4);
      std::memcpy(&y, wanted.data.data() + at, 4);
      largest = std::max(largest, std::abs(static_cast<double>(y)));
      apart = std::max(apart, std::abs(static_cast<double>(x) - y));
    }
    return apart <= 1.0 + may.bias * largest ? "" : octet::str("bias apart by ", apart, " of ", largest);
  }
  int64_t count = 0, apart = 0;
  for (size_t at = 0; at < got.data.size(); ++at) {
    const int64_t step = std::abs(static_cast<int8_t>(got.data[at]) - static_cast<int8_t>(wanted.data[at]));
    count += step != 0 ? 1 : 0;
    apart = std::max(apart, step);
  }
  const bool is_fill = wanted.numel() == 1;
  if (is_fill && apart <= may.zero_point) return "";
  return octet::str("constant ", text_of(got), ": ", count, " bytes differ, by ", apart, " at most");
}

/// The operators of a program, for messages.
inline std::string operators_of(const tflite::Model& model) {
  std::string text;
  for (const auto& op : model.operators) text += (text.empty() ? "" : " ") + tflite::op_name(op.code);
  return text;
}

/// The first difference in operators, their order, options, shapes, grids and constants; names aside. Empty: none.
inline std::string difference(const std::vector<tflite::Operator>& got, const std::vector<tflite::Operator>& wanted,
                              const tflite::Model& got_model, const tflite::Model& wanted_model,
                              const ProgramTolerance& may) {
  if (got.size() != wanted.size()) return octet::str(got.size(), " operators instead of ", wanted.size());
  const auto at = [](const tflite::Model& model, int32_t index) -> const tflite::Tensor& {
    return model.tensors[static_cast<size_t>(index)];
  };
  for (size_t i = 0; i < wanted.size(); ++i) {
    const tflite::Operator& a = got[i];
    const tflite::Operator& b = wanted[i];
    const std::string where = octet::str("operator ", i, " ", tflite::op_name(b.code), ": ");
    if (a.code != b.code) return where + octet::str(tflite::op_name(a.code), " instead");
    if (a.inputs.size() != b.inputs.size()) {
      return where + octet::str(a.inputs.size(), " inputs instead of ", b.inputs.size());
    }
    if (a.outputs.size() != b.outputs.size()) return where + "other outputs";
    if (!(a.options == b.options)) return where + "other options";
    for (size_t j = 0; j < b.inputs.size(); ++j) {
      if ((a.inputs[j] < 0) != (b.inputs[j] < 0)) return where + octet::str("input ", j, " is here or there only");
      if (b.inputs[j] < 0) continue;
      const std::string apart = difference(at(got_model, a.inputs[j]), at(wanted_model, b.inputs[j]), may);
      if (!apart.empty()) return where + octet::str("input ", j, ": ", apart);
    }
    for (size_t j = 0; j < b.outputs.size(); ++j) {
      const std::string apart = difference(at(got_model, a.outputs[j]), at(wanted_model, b.outputs[j]), may);
      if (!apart.empty()) return where + octet::str("output ", j, ": ", apart);
    }
  }
  return "";
}

inline std::string difference(const tflite::Model& got, const tflite::Model& wanted, const ProgramTolerance& may) {
  if (operators_of(got) != operators_of(wanted)) {
    return octet::str("operators ", operators_of(got), " instead of ", operators_of(wanted));
  }
  return difference(got.operators, wanted.operators, got, wanted, may);
}

}  // namespace octet::test
