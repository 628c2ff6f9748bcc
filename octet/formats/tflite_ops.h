#pragma once

#include <cstdint>
#include <limits>

#include "octet/formats/tflite_fields.h"

/// What the reader, the checks and the writer of `.tflite` know of each operator.
namespace octet::tflite {

struct OptionsTable;
struct OperatorUse;

/// How many inputs an operator has.
struct Arity {
  int32_t least, most;
  int32_t optional = -1;  ///< the one that may be absent (-1 in the file)
};
inline constexpr int32_t kAny = std::numeric_limits<int32_t>::max();

/// An operator's row in the table of tflite_ops.cpp.
struct OpFacts {
  OpCode code;
  const char* name;
  const OptionsTable* options;  ///< nullptr: it has none
  Arity inputs;
  int32_t (*version)(const OperatorUse& use);  ///< the lowest that has what a use needs: one of `versions`
  bool many_outputs = false;

  Fields fields() const;  ///< of its options
  bool has(Field field) const { return fields().has(field); }
};

/// Key of the one signature that octet writes.
inline constexpr const char* kSignature = "serving_default";

/// nullptr for an operator that octet does not know.
const OpFacts* find_op(int32_t code);

/// "model.tflite: tensor 5 'conv.weight'"
std::string tensor_place(const std::string& file, size_t index, const std::string& name);
/// "model.tflite: operator 3 CONV_2D"
std::string operator_place(const std::string& file, size_t index, OpCode code);

}  // namespace octet::tflite
