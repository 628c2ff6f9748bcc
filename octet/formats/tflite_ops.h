#pragma once

#include <cstdint>

#include "octet/formats/tflite.h"

/// What the reader, the checks and the writer of `.tflite` know of each operator.
namespace octet::tflite {

/// Fields of Options that an operator has, as bits.
enum Field : uint32_t {
  kHasPadding = 1U << 0,
  kHasActivation = 1U << 1,
  kHasStride = 1U << 2,
  kHasDilation = 1U << 3,
  kHasFilter = 1U << 4,
  kHasDepthMultiplier = 1U << 5,
  kHasAxis = 1U << 6,
  kHasNumSplits = 1U << 7,
  kHasKeepDims = 1U << 8,
  kHasKeepNumDims = 1U << 9,
  kHasBeta = 1U << 10,
  kHasAlpha = 1U << 11,
  kHasResize = 1U << 12,  ///< align_corners, half_pixel_centers
  kHasAdjoint = 1U << 13,
  kHasMirrorMode = 1U << 14,
  kHasNewShape = 1U << 15,
  kHasSqueezeDims = 1U << 16,
  kHasValuesCount = 1U << 17,
  kHasBatchDims = 1U << 18,
  kHasBlockSize = 1U << 19,
  kHasApproximate = 1U << 20,
  kHasTypes = 1U << 21,
  kHasSliceMasks = 1U << 22,
};

struct OpFacts {
  OpCode code;
  const char* name;
  uint8_t options;  ///< number of its table in the union BuiltinOptions; 0: it has none
  uint32_t fields;  ///< bits of Field
  int32_t min_inputs, max_inputs;
  int32_t optional_input = -1;  ///< the input that may be absent (-1 in the file)
  bool many_outputs = false;
};

/// Key of the one signature that octet writes.
inline constexpr const char* kSignature = "serving_default";

/// nullptr for an operator that octet does not know.
const OpFacts* find_op(int32_t code);

/// The fields of these options that the operator has; the others at their defaults.
Options only(uint32_t fields, const Options& options);

/// "model.tflite: tensor 5 'conv.weight'"
std::string tensor_place(const std::string& file, size_t index, const std::string& name);
/// "model.tflite: operator 3 CONV_2D"
std::string operator_place(const std::string& file, size_t index, OpCode code);

}  // namespace octet::tflite
