#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"

/// The bytes of a program's constants.
namespace octet::lowering {

/// Elements of an int32 constant, and back.
std::vector<int64_t> integers_of(const std::vector<uint8_t>& bytes);
std::vector<uint8_t> bytes_of(const std::vector<int64_t>& int32_values);

/// A constant's shape, scales and bytes.
struct ConstantData {
  tflite::Type type = tflite::Type::kInt8;
  std::vector<int64_t> shape;
  tflite::Quantization quantization;
  std::vector<uint8_t> data;
};
/// With its axes in another order, its scales' axis with it.
ConstantData permuted(const ConstantData& constant, const std::vector<int64_t>& order);

/// A program's type of a tensor's; `name` is that of the constant, for the octet::Error where there is none: levels,
/// whole numbers, bool and float32 have one.
tflite::Type type_of(at::ScalarType type, const std::string& name);
/// The same of what is on no grid: floats of every width are float32.
tflite::Type type_without_grid(at::ScalarType type, const std::string& name);

}  // namespace octet::lowering
