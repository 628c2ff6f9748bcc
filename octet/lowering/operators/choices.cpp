// Comparisons, logic, choices by a condition, what stands in order of size.

#include "octet/lowering/operators/choices.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>
#include <tuple>

#include "octet/integer/executor.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/operators/float_steps.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Type;

namespace {

using Sizes = std::vector<int64_t>;

ValueId number(OperatorLowering& op, const std::string& name, int64_t value) { return op.indices(name, {value}, {}); }

// What both arguments become before they are compared.
Type common_type(const OperatorLowering& op, std::string_view a, std::string_view b) {
  const Type first = op.type_of_argument(a), second = op.type_of_argument(b);
  for (const Type wide : {Type::kFloat32, Type::kInt64, Type::kInt32}) {
    if (first == wide || second == wide) return wide;
  }
  return first == Type::kBool && second == Type::kBool ? Type::kBool : Type::kInt32;
}

// LiteRT's kernels of these broadcast four dimensions at most: with more, each operand is written out.
void emit_on_few_dimensions(OperatorLowering& op, OpCode code, std::vector<ValueId> operands) {
  constexpr size_t kMost = 4;
  const Sizes shape = op.laid_out(op.node().sizes());
  for (size_t i = 0; shape.size() > kMost && i < operands.size(); ++i) {
    if (op.shape_of(operands[i]) == shape) continue;
    const std::string name = octet::str("whole_", i);
    operands[i] = op.step_of(name, OpCode::kBroadcastTo, {operands[i], op.indices(name + "_shape", shape)}, shape,
                             op.type_of(operands[i]));
  }
  op.emit(code, std::move(operands));
}

// ---- in order of size ----------------------------------------------------------------------------------------------

struct Ordered {
  ValueId values, places;
};

// The `count` greatest along a dimension of the graph, or the least; of equals the first ones.
Ordered ordered(OperatorLowering& op, int64_t dim, int64_t count, bool greatest) {
  Sizes shape = op.sizes("self");
  const size_t last = shape.size() - 1;
  ValueId x = op.input("self", false);
  const Type type = op.type_of(x);
  Sizes swap(shape.size());
  std::iota(swap.begin(), swap.end(), 0);
  std::swap(swap[static_cast<size_t>(dim)], swap[last]);
  const auto turned = [&](const std::string& name, ValueId value) {
    return static_cast<size_t>(dim) == last ? value : op.transposed(name, value, swap);
  };
  const auto negated = [&](const std::string& name, ValueId value) {
    return greatest ? value : op.step_of(name, OpCode::kNeg, {value}, op.shape_of(value), type);
  };
  x = negated("negative", turned("turned", x));
  shape = op.shape_of(x);
  shape.back() = count;
  const std::vector<ValueId> best =
      op.steps_of("ordered", OpCode::kTopkV2, {x, number(op, "count", count)}, shape, {type, Type::kInt32});
  return {turned("values", negated("positive", best[0])),
          turned("places", op.cast("places_wide", best[1], Type::kInt64))};
}

void give_elements(OperatorLowering& op, const Ordered& found) {
  for (const Node* element : op.node().users()) {
    give_element(op, *element, element->arg(size_t{1}).to_int() == 0 ? found.values : found.places);
  }
}

// The dimension along which the operator looks, and what it looks at: all of it in a row without one.
struct Along {
  ValueId x;
  int64_t axis;
};

Along along(OperatorLowering& op, ValueId x) {
  const auto rank = static_cast<int64_t>(op.shape_of(x).size());
  if (op.is_none("dim")) return {op.reshaped("flat", x, {c10::multiply_integers(op.shape_of(x))}), 0};
  return {rank == 0 ? op.reshaped("line", x, {1}) : x, op.dimension("dim", 0, std::max<int64_t>(rank, 1))};
}

ValueId place_of_extremum(OperatorLowering& op, OpCode code, const Along& what) {
  Sizes shape = op.shape_of(what.x);
  shape.erase(shape.begin() + what.axis);
  Options options;
  options.out_type = Type::kInt64;
  return op.step_of("place", code, {what.x, number(op, "axis", what.axis)}, shape, Type::kInt64, options);
}

}  // namespace

void give_element(OperatorLowering& op, const Node& element, ValueId value) {
  const size_t rank = op.shape_of(value).size();
  const bool is_nhwc = op.keeps_channels_last(element) && rank > 2;
  op.set_element(element, is_nhwc ? op.transposed("nhwc", value, to_channels_last(rank)) : value);
}

// ---- element by element --------------------------------------------------------------------------------------------

void emit_comparison(OperatorLowering& op, OpCode code) {
  Type type = common_type(op, "self", "other");
  const bool orders = code != OpCode::kEqual && code != OpCode::kNotEqual;
  if (type == Type::kBool && orders) type = Type::kInt32;
  emit_on_few_dimensions(op, code, {op.operand("self", type), op.operand("other", type)});
}

void emit_logic(OperatorLowering& op, OpCode code) {
  if (op.node().op().packet().find("logical") == std::string_view::npos && op.type() != Type::kBool) {
    op.refuse("the bits of whole numbers");
  }
  std::vector<ValueId> operands = {op.operand("self", Type::kBool)};
  if (code != OpCode::kLogicalNot) operands.push_back(op.operand("other", Type::kBool));
  emit_on_few_dimensions(op, code, std::move(operands));
}

void lower_where(OperatorLowering& op) {
  op.emit(OpCode::kSelectV2, {op.operand("condition", Type::kBool), op.operand("self"), op.operand("other")});
}

void lower_masked_fill(OperatorLowering& op) {
  op.emit(OpCode::kSelectV2, {op.operand("mask", Type::kBool), op.operand("value"), op.operand("self")});
}

void lower_is_nan(OperatorLowering& op) {
  const ValueId x = op.input("self");
  op.emit(OpCode::kNotEqual, {x, x});
}

void lower_nan_to_num(OperatorLowering& op) {
  FloatSteps steps(op, op.laid_out(op.node().sizes()));
  ValueId x = op.input("self");
  x = steps.chosen(steps.compared(OpCode::kNotEqual, x, x), steps.number(op.number("nan", 0.0)), x);
  constexpr double kMost = std::numeric_limits<float>::max(), kInfinity = std::numeric_limits<double>::infinity();
  for (const auto& [what, infinity, most] : {std::tuple("posinf", kInfinity, kMost), {"neginf", -kInfinity, -kMost}}) {
    const ValueId is_infinite = steps.compared(OpCode::kEqual, x, steps.number(infinity));
    x = steps.chosen(is_infinite, steps.number(op.number(what, most)), x);
  }
  op.alias(x);
}

void lower_cast(OperatorLowering& op) {
  const ValueId x = op.input("self");
  if (op.type_of(x) == op.type()) return op.alias(x);
  Options options;
  options.in_type = op.type_of(x);
  options.out_type = op.type();
  op.emit(OpCode::kCast, {x}, options);
}

// One number everywhere.
void lower_filled(OperatorLowering& op) {
  const std::string_view name = op.node().op().short_name();
  const bool is_one = name.find("ones") != std::string_view::npos;
  const double number = name.find("full") != std::string_view::npos ? op.number("fill_value", 0.0) : is_one ? 1.0 : 0.0;
  op.alias(op.plain_constant(
      "filled", at::full(op.laid_out(op.node().sizes()), number, at::TensorOptions(integer::scalar_type(op.type())))));
}

// What depends on numbers alone.
void lower_counted(OperatorLowering& op) {
  torch::jit::Stack stack;
  for (const Arg& arg : op.node().args()) {
    if (!arg.is_constant()) op.refuse("sizes that the program computes");
    stack.push_back(arg.constant());
  }
  op.node().op().handle().callBoxed(&stack);
  give_as_given(op, op.plain_constant("counted", stack.front().toTensor().to(integer::scalar_type(op.type()))));
}

namespace {

// In float: sign(q) floor(|q|).
void emit_truncated_quotient(OperatorLowering& op) {
  FloatSteps steps(op, op.laid_out(op.node().sizes()));
  const ValueId quotient = steps.two(OpCode::kDiv, op.operand("self"), op.operand("other"));
  const ValueId size = steps.one(OpCode::kFloor, steps.one(OpCode::kAbs, quotient));
  op.emit(OpCode::kMul, {steps.one(OpCode::kSign, quotient), size});
}

// Of whole numbers: one more than the floor where that is negative and leaves a rest.
ValueId truncated_quotient(OperatorLowering& op, ValueId a, ValueId b, ValueId floor, const Sizes& shape) {
  const auto whole = [&](const std::string& name, OpCode code, ValueId x, ValueId y) {
    return op.step_of(name, code, {x, y}, shape, Type::kInt32);
  };
  const auto truth = [&](const std::string& name, OpCode code, ValueId x, ValueId y) {
    return op.step_of(name, code, {x, y}, shape, Type::kBool);
  };
  const ValueId zero = op.plain_constant("zero", at::zeros({}, at::kInt));
  const ValueId rest = whole("rest", OpCode::kSub, a, whole("multiple", OpCode::kMul, floor, b));
  const ValueId is_below = truth("is_below", OpCode::kLess, floor, zero);
  const ValueId is_lower =
      truth("is_lower", OpCode::kLogicalAnd, is_below, truth("has_rest", OpCode::kNotEqual, rest, zero));
  return whole("truncated", OpCode::kAdd, floor, op.cast("one_more", is_lower, Type::kInt32));
}

}  // namespace

// FLOOR_DIV takes no whole numbers of 64 bits.
void lower_rounded_division(OperatorLowering& op) {
  const std::string mode = op.text("rounding_mode", op.node().has_arg("rounding_mode") ? "" : "floor");
  const bool truncates = mode == "trunc";
  const OpCode code = mode.empty() ? OpCode::kDiv : OpCode::kFloorDiv;
  if (truncates && op.type() == Type::kFloat32) return emit_truncated_quotient(op);
  if (op.type() != Type::kInt64 && !truncates) {
    return emit_on_few_dimensions(op, code, {op.operand("self"), op.operand("other")});
  }
  const Sizes shape = op.laid_out(op.node().sizes());
  const ValueId a = op.operand("self", Type::kInt32), b = op.operand("other", Type::kInt32);
  ValueId quotient = op.step_of("narrow", code, {a, b}, shape, Type::kInt32);
  if (truncates) quotient = truncated_quotient(op, a, b, quotient, shape);
  if (op.type() == Type::kInt32) return op.alias(quotient);
  Options options;
  options.in_type = Type::kInt32;
  options.out_type = Type::kInt64;
  op.emit(OpCode::kCast, {quotient}, options);
}

void lower_remainder(OperatorLowering& op) {
  emit_on_few_dimensions(op, OpCode::kFloorMod, {op.operand("self"), op.operand("other")});
}

void lower_power(OperatorLowering& op) {
  emit_on_few_dimensions(op, OpCode::kPow, {op.operand("self"), op.operand("exponent")});
}

// Between bounds that are tensors.
void lower_clamp_by_tensors(OperatorLowering& op) {
  ValueId x = op.operand("self");
  const bool has_high = !op.is_none("max");
  if (!op.is_none("min")) {
    const std::vector<ValueId> both = {x, op.operand("min")};
    if (!has_high) return op.emit(OpCode::kMaximum, both);
    x = op.step("raised", OpCode::kMaximum, both, op.laid_out(op.node().sizes()));
  }
  if (!has_high) return op.alias(x);
  op.emit(OpCode::kMinimum, {x, op.operand("max")});
}

// ---- along a dimension ---------------------------------------------------------------------------------------------

void emit_place_of_extremum(OperatorLowering& op, OpCode code) {
  const ValueId place = place_of_extremum(op, code, along(op, op.levels("self")));
  give_as_given(op, op.reshaped("places", place, op.node().sizes()));
}

// Values and their places.
void emit_extremum(OperatorLowering& op, OpCode code) {
  const Along what = along(op, op.input("self", false));
  const Sizes& shape = op.node().element_metas().at(0).sizes;
  Options options;
  options.keep_dims = op.flag("keepdim");
  const OpCode place = code == OpCode::kReduceMax ? OpCode::kArgMax : OpCode::kArgMin;
  for (const Node* element : op.node().users()) {
    if (element->arg(size_t{1}).to_int() == 0) {
      give_element(op, *element, op.step("values", code, {what.x, op.indices("axes", {what.axis})}, shape, options));
    } else {
      give_element(op, *element, op.reshaped("places", place_of_extremum(op, place, what), shape));
    }
  }
}

void lower_topk(OperatorLowering& op) {
  const auto rank = static_cast<int64_t>(op.sizes("self").size());
  if (rank == 0) op.refuse("a number without dimensions");
  give_elements(
      op, ordered(op, op.dimension("dim", -1, rank), op.integer("k", 1), op.is_none("largest") || op.flag("largest")));
}

void lower_sort(OperatorLowering& op) {
  const Sizes& sizes = op.sizes("self");
  if (sizes.empty()) op.refuse("a number without dimensions");
  const int64_t dim = op.dimension("dim", -1, static_cast<int64_t>(sizes.size()));
  const Ordered found = ordered(op, dim, sizes[static_cast<size_t>(dim)], op.flag("descending"));
  if (op.node().meta()) return give_as_given(op, found.places);  // argsort
  give_elements(op, found);
}

void lower_cumulative_sum(OperatorLowering& op) {
  const ValueId x = op.cast("in_type", op.input("self"), op.type());
  if (op.rank() == 0) return op.alias(x);
  op.emit(OpCode::kCumsum, {x, number(op, "axis", op.axis(op.dimension("dim", 0, op.rank()), op.rank()))});
}

void lower_repeat(OperatorLowering& op) {
  const Sizes& in = op.sizes("self");
  const Sizes& out = op.node().sizes();
  Sizes full(out.size() - in.size(), 1);
  full.insert(full.end(), in.begin(), in.end());
  Sizes times;
  for (size_t d = 0; d < out.size(); ++d) {
    if (full[d] == 0 || out[d] == 0) op.refuse("a tensor without elements");
    times.push_back(out[d] / full[d]);
  }
  const ValueId x = op.reshaped("widened", op.input("self", false), full);
  give_as_given(op, full == out ? x : op.step("repeated", OpCode::kTile, {x, op.indices("times", times)}, out));
}

void lower_flip(OperatorLowering& op) {
  ValueId x = op.input("self");
  for (const int64_t dim : op.integers("dims")) {
    const int64_t axis = op.axis(dim, op.rank());
    x = op.step(octet::str("flipped_", axis), OpCode::kReverseV2, {x, op.indices("axis", {axis})}, op.shape_of(x));
  }
  op.alias(x);
}

}  // namespace octet::lowering
