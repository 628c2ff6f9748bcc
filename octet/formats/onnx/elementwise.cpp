#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "octet/formats/onnx/numbers.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {

std::optional<Arg> as_number(const Step& step, const Value& value, const Value& other) {
  if (!value.known() || other.known() || value.constant.numel() != 1) return std::nullopt;
  if (static_cast<size_t>(value.constant.dim()) > step.sizes(other).size()) return std::nullopt;
  const at::ScalarType type = value.constant.scalar_type();
  if (type == at::kBool) return Arg(value.constant.item<bool>());
  if (at::isIntegralType(type, false)) return Arg(value.constant.to(at::kLong).item<int64_t>());
  return Arg(value.constant.to(at::kDouble).item<double>());
}

Value of_type(Step& step, const Value& value, at::ScalarType type) {
  return step.dtype(value) == type ? value : step.call("aten.to.dtype", {value, type});
}

namespace {

template <typename Row, size_t kCount>
const Row& row_of(const Row (&rows)[kCount], std::string_view name) {
  return *std::find_if(std::begin(rows), std::end(rows) - 1, [&](const Row& row) { return row.name == name; });
}

struct NamedOp {
  std::string_view name;
  const char* op;
};

constexpr NamedOp kUnary[] = {
    {"Relu", "aten.relu.default"},         {"Sigmoid", "aten.sigmoid.default"},
    {"Tanh", "aten.tanh.default"},         {"HardSwish", "aten.hardswish.default"},
    {"Softplus", "aten.softplus.default"}, {"Mish", "aten.mish.default"},
    {"Selu", "aten.selu.default"},         {"Abs", "aten.abs.default"},
    {"Neg", "aten.neg.default"},           {"Sqrt", "aten.sqrt.default"},
    {"Exp", "aten.exp.default"},           {"Log", "aten.log.default"},
    {"Erf", "aten.erf.default"},           {"Reciprocal", "aten.reciprocal.default"},
    {"Floor", "aten.floor.default"},       {"Ceil", "aten.ceil.default"},
    {"Round", "aten.round.default"},       {"Sign", "aten.sign.default"},
    {"Sin", "aten.sin.default"},           {"Cos", "aten.cos.default"},
    {"Tan", "aten.tan.default"},           {"Atan", "aten.atan.default"},
    {"Not", "aten.logical_not.default"},   {"IsNaN", "aten.isnan.default"},
};

bool is_float(at::ScalarType type) { return at::isFloatingType(type); }

}  // namespace

void build_unary(Step& step) {
  const Value& x = step.in(0);
  if (step.op_type() == "Softsign") {
    const Value below = step.call("aten.add.Tensor", {step.call("aten.abs.default", {x}), 1});
    return step.give(step.call("aten.div.Tensor", {x, below}));
  }
  if (step.has_attribute("alpha") || step.has_attribute("gamma")) {  // Selu's, which ATen has built in
    const bool usual = std::abs(step.number("alpha", 1.67326319) - 1.67326319) < 1e-5 &&
                       std::abs(step.number("gamma", 1.05070102) - 1.05070102) < 1e-5;
    if (!usual) step.refuse("alpha and gamma", "1.67326 and 1.0507", "others", "write it as Elu and Mul");
  }
  step.give(step.call(row_of(kUnary, step.op_type()).op, {x}));
}

void build_clip(Step& step) {
  const Value& x = step.in(0);
  const auto bound = [&](size_t index) -> std::optional<Arg> {
    if (!step.has(index)) return Arg();
    return step.in(index).known() && step.in(index).constant.numel() == 1
               ? as_number(step, Value{nullptr, step.in(index).constant.reshape({}), "", false}, x)
               : std::nullopt;
  };
  if (!step.has(1) && !step.has(2)) return step.give(x);
  const std::optional<Arg> low = bound(1);
  const std::optional<Arg> high = bound(2);
  if (!low || !high) {
    const auto operand = [&](size_t index) { return step.has(index) ? Operand(step.in(index)) : Operand(Arg()); };
    return step.give(step.call("aten.clamp.Tensor", {x, operand(1), operand(2)}));
  }
  const auto is = [](const Arg& arg, double number) { return !arg.is_none() && arg.to_double() == number; };
  const bool relu6 = is_float(step.dtype(0)) && is(*low, 0) && is(*high, 6);  // torch.nn.ReLU6 is a hardtanh
  step.give(step.call(relu6 ? "aten.hardtanh.default" : "aten.clamp.default", {x, *low, *high}));
}

void build_leaky_relu(Step& step) {
  step.give(step.call("aten.leaky_relu.default", {step.in(0), step.number("alpha", 0.01)}));
}

void build_prelu(Step& step) {
  const Value& x = step.in(0);
  const Value& slope = step.in(1);
  const std::vector<int64_t> sizes = step.sizes(0);
  std::vector<int64_t> of_slope = step.sizes(1);
  of_slope.insert(of_slope.begin(), sizes.size() - std::min(sizes.size(), of_slope.size()), 1);
  bool by_channel = slope.known() && of_slope.size() == sizes.size() && sizes.size() >= 2;
  for (size_t i = 0; i < of_slope.size() && by_channel; ++i) {
    by_channel = of_slope[i] == 1 || (i == 1 && of_slope[i] == sizes[i]);
  }
  if (by_channel) {
    const Value flat = step.derived(slope, slope.constant.reshape({-1}));
    return step.give(step.call("aten.prelu.default", {x, flat}));
  }
  const Value below = step.call("aten.clamp.default", {x, Arg(), 0});
  const Value scaled = step.call("aten.mul.Tensor", {below, slope});
  step.give(step.call("aten.add.Tensor", {step.call("aten.relu.default", {x}), scaled}));
}

void build_elu(Step& step) {
  const char* op = step.op_type() == "Elu" ? "aten.elu.default" : "aten.celu.default";
  step.give(step.call(op, {step.in(0), step.number("alpha", 1.0)}));
}

void build_hard_sigmoid(Step& step) {
  const double alpha = step.number("alpha", 0.2);
  const double beta = step.number("beta", 0.5);
  if (std::abs(alpha - 1.0 / 6.0) < 1e-6 && beta == 0.5)
    return step.give(step.call("aten.hardsigmoid.default", {step.in(0)}));
  const Value sum = step.call("aten.add.Tensor", {step.call("aten.mul.Tensor", {step.in(0), alpha}), beta});
  step.give(step.call("aten.clamp.default", {sum, 0.0, 1.0}));
}

void build_gelu(Step& step) {
  const std::string form = step.text("approximate", "none");
  if (form != "none" && form != "tanh") step.refuse("approximate", "none or tanh", form);
  step.give(step.call("aten.gelu.default", {step.in(0), form}));
}

void build_softmax(Step& step) {
  const int64_t dim = step.axis(step.integer("axis", -1), step.rank(0));
  step.give(step.call(step.op_type() == "Softmax" ? "aten.softmax.int" : "aten.log_softmax.int", {step.in(0), dim}));
}

void build_binary(Step& step) {
  const std::string_view type = step.op_type();
  const Value& a = step.in(0);
  const Value& b = step.in(1);
  const std::optional<Arg> left = as_number(step, a, b);
  const std::optional<Arg> right = as_number(step, b, a);
  const Operand other = right ? Operand(*right) : Operand(b);
  const bool is_add = type == "Add";
  if (is_add || type == "Mul") {
    const char* op = is_add ? "aten.add.Tensor" : "aten.mul.Tensor";
    return step.give(left ? step.call(op, {b, *left}) : step.call(op, {a, other}));
  }
  if (type == "Sub") {
    return step.give(left ? step.call("aten.rsub.Scalar", {b, *left}) : step.call("aten.sub.Tensor", {a, other}));
  }
  if (type == "Mod") {
    const bool like_c = step.integer("fmod", 0) == 1;
    return step.give(step.call(like_c ? "aten.fmod.Tensor" : "aten.remainder.Tensor", {a, b}));
  }
  if (!is_float(step.dtype(0))) return step.give(step.call("aten.div.Tensor_mode", {a, b, "trunc"}));
  if (!left) return step.give(step.call("aten.div.Tensor", {a, other}));
  const Value inverse = step.call("aten.reciprocal.default", {b});  // as torch writes 1 / x
  step.give(left->to_double() == 1.0 ? inverse : step.call("aten.mul.Tensor", {inverse, *left}));
}

void build_pow(Step& step) {
  const Value& base = step.in(0);
  const Value& exponent = step.in(1);
  if (const std::optional<Arg> power = as_number(step, exponent, base)) {
    const double number = power->to_double();
    const bool whole = std::abs(number) < 1e9 && number == std::floor(number);
    const Operand given = whole ? Operand(static_cast<int64_t>(number)) : Operand(number);
    return step.give(of_type(step, step.call("aten.pow.Tensor_Scalar", {base, given}), step.dtype(0)));
  }
  if (const std::optional<Arg> number = as_number(step, base, exponent))
    return step.give(of_type(step, step.call("aten.pow.Scalar", {*number, exponent}), step.dtype(0)));
  step.give(of_type(step, step.call("aten.pow.Tensor_Tensor", {base, exponent}), step.dtype(0)));
}

void build_extremum(Step& step) {
  const bool is_max = step.op_type() == "Max";
  Value result = step.in(0);
  for (size_t i = 1; i < step.count(); ++i) {
    Value other = step.in(i);
    if (as_number(step, result, other)) std::swap(result, other);
    if (const std::optional<Arg> bound = as_number(step, other, result)) {
      result = step.call("aten.clamp.default", is_max ? std::vector<Operand>{result, *bound, Arg()}
                                                      : std::vector<Operand>{result, Arg(), *bound});
    } else {
      result = step.call(is_max ? "aten.maximum.default" : "aten.minimum.default", {result, other});
    }
  }
  step.give(result);
}

void build_sum(Step& step) {
  Value result = step.in(0);
  for (size_t i = 1; i < step.count(); ++i) result = step.call("aten.add.Tensor", {result, step.in(i)});
  const auto count = static_cast<double>(step.count());
  if (step.op_type() == "Mean" && count > 1) result = step.call("aten.div.Tensor", {result, count});
  step.give(result);
}

namespace {

struct Comparison {
  std::string_view name;
  const char* of_tensors;
  const char* of_number;
  const char* turned;  // where the number stands on the left
};

constexpr Comparison kComparisons[] = {
    {"Equal", "aten.eq.Tensor", "aten.eq.Scalar", "aten.eq.Scalar"},
    {"Less", "aten.lt.Tensor", "aten.lt.Scalar", "aten.gt.Scalar"},
    {"LessOrEqual", "aten.le.Tensor", "aten.le.Scalar", "aten.ge.Scalar"},
    {"Greater", "aten.gt.Tensor", "aten.gt.Scalar", "aten.lt.Scalar"},
    {"GreaterOrEqual", "aten.ge.Tensor", "aten.ge.Scalar", "aten.le.Scalar"},
};

constexpr NamedOp kLogical[] = {
    {"And", "aten.logical_and.default"}, {"Or", "aten.logical_or.default"}, {"Xor", "aten.logical_xor.default"}};

}  // namespace

void build_comparison(Step& step) {
  const Comparison& row = row_of(kComparisons, step.op_type());
  const Value& a = step.in(0);
  const Value& b = step.in(1);
  if (const auto number = as_number(step, b, a)) return step.give(step.call(row.of_number, {a, *number}));
  if (const auto number = as_number(step, a, b)) return step.give(step.call(row.turned, {b, *number}));
  step.give(step.call(row.of_tensors, {a, b}));
}

void build_logical(Step& step) { step.give(step.call(row_of(kLogical, step.op_type()).op, {step.in(0), step.in(1)})); }

void build_where(Step& step) { step.give(step.call("aten.where.self", {step.in(0), step.in(1), step.in(2)})); }

void build_cast(Step& step) {
  const at::ScalarType to = step.op_type() == "Cast" ? dtype_of(step.integer("to", 0), step.where()) : step.dtype(1);
  step.give(of_type(step, step.in(0), to));
}

}  // namespace octet::onnx
