#include <ATen/Functions.h>

#include <algorithm>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

Operand optional_input(const Step& step, size_t index) {
  return step.has(index) ? Operand(step.in(index)) : Operand(Arg());
}

// A scale that its exporter wrote since ONNX asks for one, where torch has none.
bool is_all(const Value& value, double number) {
  return value.known() && at::isFloatingType(value.constant.scalar_type()) &&
         value.constant.eq(number).all().item<bool>();
}

}  // namespace

void build_batch_normalization(Step& step) {
  if (step.integer("training_mode", 0) != 0)
    step.refuse("training_mode", "0", "1: statistics of the batch", "export the model in eval mode");
  const double momentum = 1.0 - step.number("momentum", 0.9);  // torch weighs the new, ONNX the old
  const Value mean = step.as_buffer(step.in(3));
  const Value variance = step.as_buffer(step.in(4));
  step.give(step.call("aten.batch_norm.default", {step.in(0), step.in(1), step.in(2), mean, variance, false, momentum,
                                                  step.number("epsilon", 1e-5), true}));
}

void build_layer_normalization(Step& step) {
  if (step.wants(1) || step.wants(2)) step.refuse("mean and deviation are read, which octet does not take");
  const std::vector<int64_t> sizes = step.sizes(0);
  const int64_t axis = step.axis(step.integer("axis", -1), step.rank(0));
  const std::vector<int64_t> normalized(sizes.begin() + axis, sizes.end());
  const double epsilon = step.number("epsilon", 1e-5);
  if (step.sizes(1) == normalized && (!step.has(2) || step.sizes(2) == normalized)) {
    return step.give(step.call("aten.layer_norm.default",
                               {step.in(0), normalized, step.in(1), optional_input(step, 2), epsilon, true}));
  }
  Value result = step.call("aten.layer_norm.default", {step.in(0), normalized, Arg(), Arg(), epsilon, true});
  result = step.call("aten.mul.Tensor", {result, step.in(1)});
  if (step.has(2)) result = step.call("aten.add.Tensor", {result, step.in(2)});
  step.give(result);
}

void build_instance_normalization(Step& step) {
  // torch writes its norms of groups this way, and then weighs the channels: no weights here are no weights.
  const bool bare = is_all(step.in(1), 1.0) && is_all(step.in(2), 0.0);
  const Operand scale = bare ? Operand(Arg()) : Operand(step.in(1));
  const Operand bias = bare ? Operand(Arg()) : Operand(step.in(2));
  step.give(step.call("aten.instance_norm.default",
                      {step.in(0), scale, bias, Arg(), Arg(), true, 0.1, step.number("epsilon", 1e-5), true}));
}

void build_group_normalization(Step& step) {
  const int64_t groups = step.integer("num_groups", 0);
  const std::vector<int64_t> sizes = step.sizes(0);
  if (sizes.size() < 2 || groups < 1 || sizes[1] % groups != 0)
    step.refuse("num_groups", "a divisor of the channels", str(groups));
  Value scale = step.in(1);
  Value bias = step.in(2);
  if (step.opset() < 21 && groups != sizes[1]) {  // one weight a group
    scale = step.call("aten.repeat_interleave.self_int", {scale, sizes[1] / groups});
    bias = step.call("aten.repeat_interleave.self_int", {bias, sizes[1] / groups});
  }
  step.give(
      step.call("aten.group_norm.default", {step.in(0), groups, scale, bias, step.number("epsilon", 1e-5), true}));
}

void build_rms_normalization(Step& step) {
  const std::vector<int64_t> sizes = step.sizes(0);
  const int64_t axis = step.axis(step.integer("axis", -1), step.rank(0));
  const std::vector<int64_t> normalized(sizes.begin() + axis, sizes.end());
  if (step.sizes(1) != normalized) step.refuse("scale", sizes_text(normalized), sizes_text(step.sizes(1)));
  step.give(step.call("aten.rms_norm.default", {step.in(0), normalized, step.in(1), step.number("epsilon", 1e-5)}));
}

void build_lp_normalization(Step& step) {
  const int64_t power = step.integer("p", 2);
  const int64_t axis = step.axis(step.integer("axis", -1), step.rank(0));
  if (power != 1 && power != 2) step.refuse("p", "1 or 2", str(power));
  const Value norm = step.call("aten.linalg_vector_norm.default",
                               {step.in(0), static_cast<double>(power), std::vector<int64_t>{axis}, true});
  step.give(step.call("aten.div.Tensor", {step.in(0), norm}));
}

}  // namespace octet::onnx
