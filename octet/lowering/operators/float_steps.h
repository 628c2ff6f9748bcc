#pragma once

#include <ATen/Functions.h>

#include "octet/lowering/operator_lowering.h"
#include "octet/support/error.h"

namespace octet::lowering {

/// Float32 values of one shape, a step each; numbers are constants that broadcast.
class FloatSteps {
 public:
  FloatSteps(OperatorLowering& op, std::vector<int64_t> shape) : op_(op), shape_(std::move(shape)) {}

  ValueId number(double value) {
    return op_.plain_constant(octet::str("number_", ++count_), at::scalar_tensor(value, at::kFloat));
  }
  ValueId one(tflite::OpCode code, ValueId x, const tflite::Options& options = {}) {
    return step(code, {x}, tflite::Type::kFloat32, options);
  }
  ValueId two(tflite::OpCode code, ValueId a, ValueId b) { return step(code, {a, b}, tflite::Type::kFloat32); }
  ValueId two(tflite::OpCode code, ValueId a, double b) { return two(code, a, number(b)); }
  ValueId two(tflite::OpCode code, double a, ValueId b) { return two(code, number(a), b); }
  /// Bools: how `a` stands to `b`.
  ValueId compared(tflite::OpCode how, ValueId a, ValueId b) { return step(how, {a, b}, tflite::Type::kBool); }
  ValueId chosen(ValueId condition, ValueId where_true, ValueId where_false) {
    return step(tflite::OpCode::kSelectV2, {condition, where_true, where_false}, tflite::Type::kFloat32);
  }
  /// 1 where they are equal, else 0.
  ValueId are_equal(ValueId a, ValueId b) {
    return op_.cast(octet::str("step_", ++count_), compared(tflite::OpCode::kEqual, a, b), tflite::Type::kFloat32);
  }

 private:
  ValueId step(tflite::OpCode code, std::vector<ValueId> inputs, tflite::Type type,
               const tflite::Options& options = {}) {
    return op_.step_of(octet::str("step_", ++count_), code, std::move(inputs), shape_, type, options);
  }

  OperatorLowering& op_;
  std::vector<int64_t> shape_;
  int64_t count_ = 0;
};

}  // namespace octet::lowering
