#include "octet/lowering/far_values.h"

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>
#include <vector>

namespace octet::lowering {
namespace {

using tflite::OpCode;

constexpr double kReach = 1 << 30;  // steps: half of an int32, the zero point needs little of the rest

struct Far {
  bool below = false;
  bool above = false;
};

void look_at(const Program::Value& value, float scale, Far& far) {
  if (value.type != tflite::Type::kFloat32 || !value.constant) return;
  for (size_t at = 0; at + sizeof(float) <= value.constant->size(); at += sizeof(float)) {
    float element = 0;
    std::memcpy(&element, value.constant->data() + at, sizeof element);
    far.below = far.below || element / scale < -kReach;
    far.above = far.above || element / scale > kReach;
  }
}

// What gives small numbers for numbers of any size.
bool is_bounded(OpCode code) {
  constexpr std::array kBounded = {OpCode::kSoftmax, OpCode::kLogistic, OpCode::kTanh};
  return std::find(kBounded.begin(), kBounded.end(), code) != kBounded.end();
}

// Along the float operators that compute it, as far as to those that read levels.
Far constants_beyond(const Program& program, ValueId value, float scale) {
  Far far;
  std::vector<ValueId> open = {value};
  std::unordered_set<int32_t> seen;
  while (!open.empty()) {
    const ValueId next = open.back();
    open.pop_back();
    if (!seen.insert(static_cast<int32_t>(next)).second) continue;
    look_at(program.at(next), scale, far);
    const OperatorId producer = program.producer(next);
    if (producer == kNoOperator || program.at(next).type != tflite::Type::kFloat32) continue;
    const OpCode code = program.at(producer).code;
    if (is_bounded(code)) continue;
    const bool bounds = code == OpCode::kMaximum || code == OpCode::kMinimum;  // by its constant, however far that is
    for (const ValueId input : program.at(producer).inputs) {
      if (input != kNoValue && !(bounds && program.at(input).constant)) open.push_back(input);
    }
  }
  return far;
}

}  // namespace

ValueId within_reach(Program& program, ValueId value, const Grid& grid) {
  const Program::Value wanted = program.at(value);
  if (wanted.type != tflite::Type::kFloat32 || wanted.constant) return value;
  const Far far = constants_beyond(program, value, grid.scale);
  const auto cut = [&](OpCode code, int64_t level, const char* suffix) {
    const float end = grid.scale * static_cast<float>(level - grid.zero_point);
    const ValueId bound = program.constant(wanted.name + suffix, {at::scalar_tensor(end, at::kFloat), {}});
    const ValueId result = program.value(wanted.name + suffix, wanted.shape, tflite::Type::kFloat32);
    program.emit(code, {value, bound}, {result});
    value = result;
  };
  if (far.below) cut(OpCode::kMaximum, grid.range.low, "_from_below");
  if (far.above) cut(OpCode::kMinimum, grid.range.high, "_from_above");
  return value;
}

}  // namespace octet::lowering
