#include "octet/integer/folded.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "octet/integer/fixed_point.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernel.h"
#include "octet/support/budget.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Operator;
using tflite::Tensor;
using tflite::Type;

namespace {

bool stands_for_floats(const Tensor& tensor) {
  return tensor.type == Type::kFloat16 || (is_level_type(tensor.type) && !tensor.quantization.scale.empty());
}

// The numbers that a constant's elements stand for, one scale for all of them or one a channel.
Tensor in_float(const Tensor& constant) {
  Tensor result{constant.name, Type::kFloat32, constant.shape, {}, true, {}};
  const auto count = static_cast<size_t>(constant.numel());
  std::vector<float> numbers(count);
  if (constant.type == Type::kFloat16) {
    for (size_t i = 0; i < count; ++i) {
      c10::Half half;
      std::memcpy(&half, constant.data.data() + i * sizeof half, sizeof half);
      numbers[i] = half;
    }
  } else {
    const auto& [scale, zero_point, axis] = constant.quantization;
    int64_t inner = 1;  // elements that have one index of the scales' axis
    for (size_t d = static_cast<size_t>(axis) + 1; d < constant.shape.size(); ++d) inner *= constant.shape[d];
    with_level_type(constant.type, [&]<typename Level>(Level) {
      for (size_t i = 0; i < count; ++i) {
        Level level;
        std::memcpy(&level, constant.data.data() + i * sizeof level, sizeof level);
        const size_t channel = scale.size() == 1 ? 0 : i / static_cast<size_t>(inner) % scale.size();
        numbers[i] = dequantize_level(level, scale[channel], static_cast<int32_t>(zero_point[channel]));
      }
    });
  }
  result.data.resize(count * sizeof(float));
  if (count > 0) std::memcpy(result.data.data(), numbers.data(), result.data.size());
  return result;
}

class Folder {
 public:
  explicit Folder(tflite::Model model) : model_(std::move(model)), budget_("program", bytes_of_constants()) {}

  Folded run() {
    Folded result;
    std::vector<Operator> operators;
    for (size_t i = 0; i < model_.operators.size(); ++i) {
      Operator op = model_.operators[i];
      if (is_known(op)) {
        compute(op);
        continue;
      }
      give_floats(op);
      operators.push_back(std::move(op));
      result.kept.push_back(i);
    }
    model_.operators = std::move(operators);
    result.program = std::move(model_);
    return result;
  }

 private:
  uint64_t bytes_of_constants() const {
    uint64_t bytes = 0;
    for (const Tensor& tensor : model_.tensors) bytes += tensor.data.size();
    return bytes;
  }

  Tensor& at(int32_t index) { return model_.tensors[static_cast<size_t>(index)]; }
  uint64_t bytes_of(const Tensor& tensor) const {
    return static_cast<uint64_t>(tensor.numel() * tflite::type_size(tensor.type));
  }
  void charge(uint64_t bytes) { budget_.charge(bytes, "what its constants become"); }

  bool is_known(const Operator& op) {
    if (op.code == OpCode::kShape) return true;
    return !op.inputs.empty() && std::all_of(op.inputs.begin(), op.inputs.end(),
                                             [&](int32_t input) { return input < 0 || at(input).is_constant; });
  }

  void compute(const Operator& op) {
    for (const int32_t output : op.outputs) charge(bytes_of(at(output)));
    if (op.code == OpCode::kDequantize && stands_for_floats(at(op.inputs[0]))) {
      Tensor& result = at(op.outputs[0]);
      Tensor numbers = in_float(at(op.inputs[0]));
      if (numbers.shape != result.shape || result.type != Type::kFloat32) {
        throw expected(octet::str("DEQUANTIZE '", result.name, "'"), "result",
                       octet::str("float32[", join(", ", numbers.shape), "]"),
                       octet::str(tflite::type_name(result.type), "[", join(", ", result.shape), "]"));
      }
      result.data = std::move(numbers.data);
      result.is_constant = true;
      return;
    }
    const Kernel kernel = make_kernel({model_, op});
    std::vector<uint8_t> scratch(static_cast<size_t>(kernel.scratch_bytes()));
    Values values(model_.tensors.size(), scratch.data());
    for (const int32_t input : op.inputs) {
      if (input >= 0 && at(input).is_constant) values.set(input, at(input).data.data());
    }
    for (const int32_t output : op.outputs) {
      at(output).data.assign(bytes_of(at(output)), 0);
      values.set(output, at(output).data.data());
    }
    kernel(values);
    for (const int32_t output : op.outputs) at(output).is_constant = true;
  }

  // Of a hybrid operator: float activations and constants on a grid, or in float16.
  void give_floats(Operator& op) {
    const bool converts = op.code == OpCode::kDequantize || op.code == OpCode::kQuantize || op.code == OpCode::kCast;
    if (converts || at(op.outputs[0]).type != Type::kFloat32) return;
    for (int32_t& input : op.inputs) {
      if (input < 0 || !at(input).is_constant || !stands_for_floats(at(input))) continue;
      const auto [known, is_new] = floats_.try_emplace(input, static_cast<int32_t>(model_.tensors.size()));
      if (is_new) {
        charge(sizeof(Tensor) + static_cast<uint64_t>(at(input).numel()) * sizeof(float));
        model_.tensors.push_back(in_float(at(input)));
      }
      input = known->second;
    }
  }

  tflite::Model model_;
  Budget budget_;
  std::map<int32_t, int32_t> floats_;  // of constants: those in float
};

}  // namespace

Folded folded(tflite::Model model) {
  tflite::check(model);
  return Folder(std::move(model)).run();
}

}  // namespace octet::integer
