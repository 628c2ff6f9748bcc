#include <ATen/Functions.h>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/numbers.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

bool is_weight(const Step& step, size_t index) {
  return step.in(index).known() && step.rank(index) == 2 && at::isFloatingType(step.dtype(index));
}

// y = alpha a b + beta c, with b a weight: a linear layer, as torch.nn.Linear has it.
bool build_linear(Step& step, double alpha, double beta, bool turned) {
  if (!is_weight(step, 1) || step.in(0).known()) return false;
  const Value weight = step.parameter(1, "weight");
  at::Tensor matrix = turned ? weight.constant : weight.constant.t();
  if (alpha != 1.0) matrix = matrix * alpha;
  const bool as_it_is = turned && alpha == 1.0;
  Operand bias = Arg();
  if (step.has(2)) {
    const Value c = step.parameter(2, "bias");
    const std::vector<int64_t> sizes = step.sizes(2);
    const int64_t width = matrix.size(0);
    const bool is_row = (sizes.size() == 1 || (sizes.size() == 2 && sizes[0] == 1)) && sizes.back() == width;
    if (!c.known() || !is_row) return false;
    const at::Tensor flat = c.constant.reshape({width});
    bias = beta == 1.0 && sizes.size() == 1 ? Operand(c) : Operand(step.derived(c, flat * beta));
  }
  step.give(step.call("aten.linear.default", {step.in(0), as_it_is ? weight : step.derived(weight, matrix), bias}));
  return true;
}

Value turned_if(Step& step, size_t index, const char* attribute) {
  const Value& matrix = step.in(index);
  return step.integer(attribute, 0) != 0 ? step.call("aten.t.default", {matrix}) : matrix;
}

Value scaled(Step& step, const Value& value, double factor) {
  return factor == 1.0 ? value : step.call("aten.mul.Tensor", {value, factor});
}

}  // namespace

void build_gemm(Step& step) {
  const double alpha = step.number("alpha", 1.0);
  const double beta = step.number("beta", 1.0);
  for (const size_t index : {0, 1}) {
    if (step.rank(index) != 2) step.refuse(str("input ", index), "a matrix", sizes_text(step.sizes(index)));
  }
  if (step.integer("transA", 0) == 0 && build_linear(step, alpha, beta, step.integer("transB", 0) != 0)) return;
  // A weight that is dequantized first is a linear layer's too, if it lies as torch has it.
  const bool plain = alpha == 1.0 && beta == 1.0 && step.integer("transA", 0) == 0 && step.integer("transB", 0) != 0;
  if (plain && (!step.has(2) || step.sizes(2) == std::vector<int64_t>{step.sizes(1)[0]})) {
    const Operand bias = step.has(2) ? Operand(step.in(2)) : Operand(Arg());
    return step.give(step.call("aten.linear.default", {step.in(0), step.in(1), bias}));
  }
  const Value a = turned_if(step, 0, "transA");
  const Value b = turned_if(step, 1, "transB");
  Value result = scaled(step, step.call("aten.mm.default", {a, b}), alpha);
  if (step.has(2)) result = step.call("aten.add.Tensor", {result, scaled(step, step.in(2), beta)});
  step.give(result);
}

void build_mat_mul(Step& step) {
  if (step.rank(0) >= 1 && build_linear(step, 1.0, 1.0, false)) return;
  step.give(step.call("aten.matmul.default", {step.in(0), step.in(1)}));
}

void build_einsum(Step& step) {
  const std::string equation = step.text("equation", "");
  if (equation.empty()) step.refuse("equation", "a text", "none");
  step.give(step.call("aten.einsum.default", {equation, step.all()}));
}

}  // namespace octet::onnx
