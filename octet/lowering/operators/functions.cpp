// Functions that TFLite has no operator for, in float by others.

#include <ATen/ExpandUtils.h>

#include <cmath>
#include <numbers>
#include <unordered_map>

#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/float_steps.h"
#include "octet/lowering/operators/operators.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

// The call, its steps and what it reads.
struct Function {
  const OperatorLowering& op;
  FloatSteps& steps;
  ValueId x;

  ValueId one(OpCode code, ValueId a) const { return steps.one(code, a); }
  template <typename A, typename B>
  ValueId two(OpCode code, A a, B b) const {
    return steps.two(code, a, b);
  }
  double number(const char* argument, double missing) const { return op.number(argument, missing); }

  ValueId positive() const { return two(OpCode::kMaximum, x, 0.0); }
  ValueId negative() const { return two(OpCode::kMinimum, x, 0.0); }
  ValueId size() const { return one(OpCode::kAbs, x); }
};

ValueId logarithm_to(const Function& f, double base) {
  return f.two(OpCode::kMul, f.one(OpCode::kLog, f.x), 1.0 / std::log(base));
}

// (exp(x) -+ exp(-x)) / 2
ValueId half_of_exponentials(const Function& f, OpCode code) {
  const ValueId falling = f.one(OpCode::kExp, f.one(OpCode::kNeg, f.x));
  return f.two(OpCode::kMul, f.two(code, f.one(OpCode::kExp, f.x), falling), 0.5);
}

// log(|x| + sqrt(x x + more))
ValueId logarithm_with_root(const Function& f, double more) {
  const ValueId square = f.two(OpCode::kAdd, f.two(OpCode::kMul, f.x, f.x), more);
  return f.one(OpCode::kLog, f.two(OpCode::kAdd, f.size(), f.one(OpCode::kSqrt, square)));
}

ValueId truncated(const Function& f, ValueId x) {
  return f.two(OpCode::kMul, f.one(OpCode::kSign, x), f.one(OpCode::kFloor, f.one(OpCode::kAbs, x)));
}

// max(x, 0) + log(1 + exp(-|x|)), which no x takes beyond float32.
ValueId softplus_of(const Function& f, ValueId x) {
  const ValueId falling = f.one(OpCode::kExp, f.one(OpCode::kNeg, f.one(OpCode::kAbs, x)));
  return f.two(OpCode::kAdd, f.two(OpCode::kMaximum, x, 0.0), f.one(OpCode::kLog, f.two(OpCode::kAdd, falling, 1.0)));
}

// x as it is beyond the threshold.
ValueId softplus(const Function& f) {
  const double beta = f.number("beta", 1.0), threshold = f.number("threshold", 20.0);
  const ValueId scaled = f.two(OpCode::kMul, f.x, beta);
  const ValueId soft = f.two(OpCode::kMul, softplus_of(f, scaled), 1.0 / beta);
  return f.steps.chosen(f.steps.compared(OpCode::kGreater, scaled, f.steps.number(threshold)), f.x, soft);
}

// max(x, 0) positive + (exp(min(x, 0) inner) - 1) negative
ValueId elu_of(const Function& f, double positive, double negative, double inner) {
  const ValueId power = f.one(OpCode::kExp, f.two(OpCode::kMul, f.negative(), inner));
  const ValueId below = f.two(OpCode::kMul, f.two(OpCode::kSub, power, 1.0), negative);
  return f.two(OpCode::kAdd, f.two(OpCode::kMul, f.positive(), positive), below);
}

ValueId elu(const Function& f) {
  const double alpha = f.number("alpha", 1.0), scale = f.number("scale", 1.0), inner = f.number("input_scale", 1.0);
  const bool is_plain = alpha == 1.0 && scale == 1.0 && inner == 1.0;
  return is_plain ? f.one(OpCode::kElu, f.x) : elu_of(f, scale, alpha * scale, inner);
}

ValueId selu(const Function& f) {
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  constexpr double kScale = 1.0507009873554804934193349852946;
  return elu_of(f, kScale, kAlpha * kScale, 1.0);
}

ValueId celu(const Function& f) {
  const double alpha = f.number("alpha", 1.0);
  return elu_of(f, 1.0, alpha, 1.0 / alpha);
}

// x above the threshold, a number elsewhere.
ValueId threshold(const Function& f) {
  const ValueId is_above = f.steps.compared(OpCode::kGreater, f.x, f.steps.number(f.number("threshold", 0.0)));
  return f.steps.chosen(is_above, f.x, f.steps.number(f.number("value", 0.0)));
}

ValueId hardshrink(const Function& f) {
  const ValueId is_far = f.steps.compared(OpCode::kGreater, f.size(), f.steps.number(f.number("lambd", 0.5)));
  return f.steps.chosen(is_far, f.x, f.steps.number(0.0));
}

ValueId softshrink(const Function& f) {
  const double bound = f.number("lambd", 0.5);
  const ValueId near = f.two(OpCode::kMaximum, f.two(OpCode::kMinimum, f.x, bound), -bound);
  return f.two(OpCode::kSub, f.x, near);
}

ValueId leaky_by_chance(const Function& f) {
  if (f.op.flag("training")) f.op.refuse("rrelu in training mode", "switch the model to eval");
  const double slope = (f.number("lower", 1.0 / 8) + f.number("upper", 1.0 / 3)) / 2;
  return f.two(OpCode::kAdd, f.positive(), f.two(OpCode::kMul, f.negative(), slope));
}

using Formula = ValueId (*)(const Function&);

const std::unordered_map<std::string_view, Formula>& formulas() {
  static const std::unordered_map<std::string_view, Formula> table = {
      {"log2", [](const Function& f) { return logarithm_to(f, 2.0); }},
      {"log10", [](const Function& f) { return logarithm_to(f, 10.0); }},
      {"log1p", [](const Function& f) { return f.one(OpCode::kLog, f.two(OpCode::kAdd, f.x, 1.0)); }},
      {"exp2", [](const Function& f) { return f.one(OpCode::kExp, f.two(OpCode::kMul, f.x, std::numbers::ln2)); }},
      {"expm1", [](const Function& f) { return f.two(OpCode::kSub, f.one(OpCode::kExp, f.x), 1.0); }},
      {"tan",
       [](const Function& f) { return f.two(OpCode::kDiv, f.one(OpCode::kSin, f.x), f.one(OpCode::kCos, f.x)); }},
      {"sinh", [](const Function& f) { return half_of_exponentials(f, OpCode::kSub); }},
      {"cosh", [](const Function& f) { return half_of_exponentials(f, OpCode::kAdd); }},
      {"asinh",
       [](const Function& f) { return f.two(OpCode::kMul, f.one(OpCode::kSign, f.x), logarithm_with_root(f, 1.0)); }},
      {"acosh", [](const Function& f) { return logarithm_with_root(f, -1.0); }},
      {"atanh",
       [](const Function& f) {
         const ValueId ratio = f.two(OpCode::kDiv, f.two(OpCode::kAdd, f.x, 1.0), f.two(OpCode::kSub, 1.0, f.x));
         return f.two(OpCode::kMul, f.one(OpCode::kLog, ratio), 0.5);
       }},
      {"trunc", [](const Function& f) { return truncated(f, f.x); }},
      {"fix", [](const Function& f) { return truncated(f, f.x); }},
      {"frac", [](const Function& f) { return f.two(OpCode::kSub, f.x, truncated(f, f.x)); }},
      {"elu", elu},
      {"selu", selu},
      {"celu", celu},
      {"softplus", softplus},
      {"mish", [](const Function& f) { return f.two(OpCode::kMul, f.x, f.one(OpCode::kTanh, softplus_of(f, f.x))); }},
      {"log_sigmoid", [](const Function& f) { return f.one(OpCode::kNeg, softplus_of(f, f.one(OpCode::kNeg, f.x))); }},
      {"threshold", threshold},
      {"hardshrink", hardshrink},
      {"softshrink", softshrink},
      {"rrelu", leaky_by_chance},
  };
  return table;
}

// The sum along `axis`, whose size becomes 1.
ValueId summed(OperatorLowering& op, const std::string& name, ValueId x, int64_t axis) {
  std::vector<int64_t> shape = op.shape_of(x);
  shape[static_cast<size_t>(axis)] = 1;
  Options keep;
  keep.keep_dims = true;
  return op.step(name, OpCode::kSum, {x, op.indices(name + "_axis", {axis})}, shape, keep);
}

// Both tensors with so many dimensions.
std::pair<ValueId, ValueId> both(OperatorLowering& op, const char* first, const char* second, size_t rank) {
  const auto widened = [&](const char* argument) {
    std::vector<int64_t> sizes = op.sizes(argument);
    sizes.insert(sizes.begin(), rank - std::min(rank, sizes.size()), 1);
    return op.reshaped(octet::str(argument, "_wide"), op.input(argument, false), sizes);
  };
  return {widened(first), widened(second)};
}

}  // namespace

void lower_function(OperatorLowering& op) {
  std::string_view name = op.node().op().short_name();
  if (name.back() == '_') name.remove_suffix(1);
  constexpr std::string_view kSpecial = "special_";
  if (name.substr(0, kSpecial.size()) == kSpecial) name.remove_prefix(kSpecial.size());
  FloatSteps steps(op, op.laid_out(op.node().sizes()));
  op.alias(formulas().at(name)({op, steps, op.input("self")}));
}

// a - trunc(a / b) b
void lower_fmod(OperatorLowering& op) {
  FloatSteps steps(op, op.laid_out(op.node().sizes()));
  const ValueId a = op.operand("self"), b = op.operand("other");
  const Function f{op, steps, a};
  op.alias(f.two(OpCode::kSub, a, f.two(OpCode::kMul, truncated(f, f.two(OpCode::kDiv, a, b)), b)));
}

// sum(a b) / sqrt(max(sum(a a), eps^2) max(sum(b b), eps^2)), each factor with its own root.
void lower_cosine_similarity(OperatorLowering& op) {
  const size_t rank = std::max(op.sizes("x1").size(), op.sizes("x2").size());
  if (rank == 0) op.refuse("a number without dimensions");
  const auto [a, b] = both(op, "x1", "x2", rank);
  const int64_t axis = op.dimension("dim", 1, static_cast<int64_t>(rank));
  const std::vector<int64_t> whole = at::infer_size(op.shape_of(a), op.shape_of(b));
  const ValueId eps = op.plain_constant("eps", at::scalar_tensor(op.number("eps", 1e-8), at::kFloat));
  const auto length = [&](const std::string& name, ValueId x) {
    const ValueId squares = op.step(name + "_squares", OpCode::kMul, {x, x}, op.shape_of(x));
    const ValueId sum = summed(op, name + "_sum", squares, axis);
    const ValueId root = op.step(name + "_root", OpCode::kSqrt, {sum}, op.shape_of(sum));
    return op.step(name + "_length", OpCode::kMaximum, {root, eps}, op.shape_of(root));
  };
  const ValueId product = summed(op, "product", op.step("products", OpCode::kMul, {a, b}, whole), axis);
  const ValueId lengths =
      op.step("lengths", OpCode::kMul, {length("first", a), length("second", b)}, op.shape_of(product));
  const ValueId result = op.step("ratio", OpCode::kDiv, {product, lengths}, op.shape_of(product));
  give_as_given(op, op.reshaped("narrow", result, op.node().sizes()));
}

namespace {

// The norm of the last dimension of a - b + eps, of order 1, 2 or infinity.
ValueId distance(OperatorLowering& op, ValueId a, ValueId b, double order, double eps) {
  if (order != 1.0 && order != 2.0 && !std::isinf(order)) {
    op.refuse(octet::str("a norm of order ", order), "order 1, 2 or infinity");
  }
  const std::vector<int64_t> whole = at::infer_size(op.shape_of(a), op.shape_of(b));
  const auto axis = static_cast<int64_t>(whole.size()) - 1;
  FloatSteps steps(op, whole);
  ValueId difference = steps.two(OpCode::kSub, a, b);
  if (eps != 0.0) difference = steps.two(OpCode::kAdd, difference, eps);
  if (order == 2.0) {
    const ValueId sum = summed(op, "sum", steps.two(OpCode::kMul, difference, difference), axis);
    return op.step("root", OpCode::kSqrt, {sum}, op.shape_of(sum));
  }
  const ValueId size = steps.one(OpCode::kAbs, difference);
  if (order == 1.0) return summed(op, "sum", size, axis);
  std::vector<int64_t> shape = whole;
  shape.back() = 1;
  Options keep;
  keep.keep_dims = true;
  return op.step("most", OpCode::kReduceMax, {size, op.indices("axis", {axis})}, shape, keep);
}

}  // namespace

void lower_pairwise_distance(OperatorLowering& op) {
  const size_t rank = std::max(op.sizes("x1").size(), op.sizes("x2").size());
  if (rank == 0) op.refuse("a number without dimensions");
  const auto [a, b] = both(op, "x1", "x2", rank);
  const ValueId result = distance(op, a, b, op.number("p", 2.0), op.number("eps", 1e-6));
  give_as_given(op, op.reshaped("narrow", result, op.node().sizes()));
}

// Of each row of the first to each row of the second.
void lower_distances(OperatorLowering& op) {
  std::vector<int64_t> first = op.sizes("x1"), second = op.sizes("x2");
  first.insert(first.end() - 1, 1);
  second.insert(second.end() - 2, 1);
  constexpr size_t kMostDimensions = 4;  // that LiteRT's kernels broadcast
  if (std::max(first.size(), second.size()) > kMostDimensions) op.refuse("distances in more than one batch dimension");
  const ValueId a = op.reshaped("rows", op.input("x1", false), first);
  const ValueId b = op.reshaped("columns", op.input("x2", false), second);
  const ValueId result = distance(op, a, b, op.number("p", 2.0), 0.0);
  give_as_given(op, op.reshaped("narrow", result, op.node().sizes()));
}

}  // namespace octet::lowering
