#include "octet/lowering/far_values.h"

#include <ATen/ops/scalar_tensor.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace octet::lowering {
namespace {

using tflite::OpCode;

constexpr double kReach = 1 << 30;  // steps: half of an int32, the zero point needs little of the rest

// What gives small numbers for numbers of any size.
bool is_bounded(OpCode code) {
  constexpr std::array kBounded = {OpCode::kSoftmax, OpCode::kLogistic, OpCode::kTanh};
  return std::find(kBounded.begin(), kBounded.end(), code) != kBounded.end();
}

}  // namespace

std::vector<ValueId> FarValues::float_sources(ValueId value) const {
  const OperatorId producer = program_.producer(value);
  if (producer == kNoOperator || program_.at(value).type != tflite::Type::kFloat32) return {};
  const OpCode code = program_.at(producer).code;
  if (is_bounded(code)) return {};
  std::vector<ValueId> sources = program_.at(producer).inputs;
  const bool bounds = code == OpCode::kMaximum || code == OpCode::kMinimum;  // by its constant, however far that is
  std::erase_if(sources, [&](ValueId input) { return input == kNoValue || (bounds && program_.at(input).constant); });
  return sources;
}

FarValues::Extremes FarValues::from_inputs(ValueId value) const {
  Extremes found;
  const auto count = [&](float low, float high) {
    found.least = std::min(found.least, low);
    found.greatest = std::max(found.greatest, high);
  };
  const Program::Value& entry = program_.at(value);
  if (entry.constant && entry.type == tflite::Type::kFloat32) {
    for (size_t at = 0; at + sizeof(float) <= entry.constant->size(); at += sizeof(float)) {
      float element = 0;
      std::memcpy(&element, entry.constant->data() + at, sizeof element);
      count(element, element);
    }
  }
  for (const ValueId source : float_sources(value)) {
    const Extremes& behind = known_.at(static_cast<int32_t>(source));
    count(behind.least, behind.greatest);
  }
  return found;
}

const FarValues::Extremes& FarValues::constants_behind(ValueId value) {
  std::vector<ValueId> open = {value};
  while (!open.empty()) {
    const ValueId next = open.back();
    const size_t before = open.size();
    if (known_.count(static_cast<int32_t>(next)) == 0) {
      for (const ValueId source : float_sources(next)) {
        if (known_.count(static_cast<int32_t>(source)) == 0) open.push_back(source);
      }
      if (open.size() > before) continue;
      known_[static_cast<int32_t>(next)] = from_inputs(next);
    }
    open.pop_back();
  }
  return known_.at(static_cast<int32_t>(value));
}

ValueId FarValues::within_reach(ValueId value, const Grid& grid) {
  const Program::Value wanted = program_.at(value);
  if (wanted.type != tflite::Type::kFloat32 || wanted.constant) return value;
  const Extremes& far = constants_behind(value);
  const bool below = far.least / grid.scale<-kReach, above = far.greatest / grid.scale> kReach;
  const auto cut = [&](OpCode code, int64_t level, const char* suffix) {
    const float end = grid.scale * static_cast<float>(level - grid.zero_point);
    const ValueId bound = program_.constant(wanted.name + suffix, {at::scalar_tensor(end, at::kFloat), {}});
    const ValueId result = program_.value(wanted.name + suffix, wanted.shape, tflite::Type::kFloat32);
    program_.emit(code, {value, bound}, {result});
    value = result;
  };
  if (below) cut(OpCode::kMaximum, grid.range.low, "_from_below");
  if (above) cut(OpCode::kMinimum, grid.range.high, "_from_above");
  return value;
}

}  // namespace octet::lowering
