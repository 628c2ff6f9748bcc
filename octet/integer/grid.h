#pragma once

#include <cstdint>
#include <optional>

#include "octet/formats/tflite.h"
#include "octet/support/error.h"

namespace octet::integer {

/// The levels that a value has and what they stand for: a level is scale * (level - zero_point). Of the whole tensor;
/// the scales of each channel that constants have are a tflite::Quantization.
struct Grid {
  tflite::Type type = tflite::Type::kInt8;
  tflite::LevelRange range = {-128, 127};  ///< within that of the type
  float scale = 1.0F;
  int64_t zero_point = 0;

  /// On all levels of the type.
  static Grid of_type(tflite::Type type, float scale, int64_t zero_point);

  bool is_int8() const { return type == tflite::Type::kInt8; }
  /// True where a level means the same on both: TFLite's tensors tell no more of a grid.
  bool has_levels_of(const Grid& other) const {
    return type == other.type && scale == other.scale && zero_point == other.zero_point;
  }
  tflite::Quantization quantization() const { return {{scale}, {zero_point}, 0}; }
  bool operator==(const Grid&) const = default;
};

/// True for the types whose values can lie on a grid: int8, uint8, int16. int32 holds biases and indices.
bool is_level_type(tflite::Type type);

/// body(int8_t{}), body(uint8_t{}) or body(int16_t{}); throws octet::Error for other types.
template <typename Body>
auto with_level_type(tflite::Type type, Body body) {
  switch (type) {
    case tflite::Type::kInt8:
      return body(int8_t{});
    case tflite::Type::kUInt8:
      return body(uint8_t{});
    case tflite::Type::kInt16:
      return body(int16_t{});
    default:
      throw expected("grid", "type", "int8, uint8 or int16", tflite::type_name(type));
  }
}

/// The one grid on which TFLite's int8 kernel gives its result; nullopt: any.
std::optional<Grid> result_grid_of(tflite::OpCode code);

/// The one grid of a tensor; nullopt where it is float, holds indices or biases, or has a scale for each channel.
std::optional<Grid> grid_of(const tflite::Tensor& tensor);

}  // namespace octet::integer
