#include "octet/integer/grid.h"

namespace octet::integer {

using tflite::Type;

bool is_level_type(Type type) { return type == Type::kInt8 || type == Type::kUInt8 || type == Type::kInt16; }

Grid Grid::of_type(Type type, float scale, int64_t zero_point) {
  if (!is_level_type(type)) throw expected("grid", "type", "int8, uint8 or int16", tflite::type_name(type));
  return {type, *tflite::level_range(type), scale, zero_point};
}

std::optional<Grid> result_grid_of(tflite::OpCode code) {
  switch (code) {
    case tflite::OpCode::kLogistic:
    case tflite::OpCode::kSoftmax:
      return Grid::of_type(Type::kInt8, 1.0F / 256, -128);
    case tflite::OpCode::kTanh:
      return Grid::of_type(Type::kInt8, 1.0F / 128, 0);
    default:
      return std::nullopt;
  }
}

std::optional<Grid> grid_of(const tflite::Tensor& tensor) {
  const auto& [scale, zero_point, axis] = tensor.quantization;
  if (!is_level_type(tensor.type) || scale.size() != 1 || zero_point.size() != 1) return std::nullopt;
  return Grid::of_type(tensor.type, scale[0], zero_point[0]);
}

}  // namespace octet::integer
