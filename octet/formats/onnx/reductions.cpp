#include <algorithm>
#include <numeric>

#include "octet/formats/onnx/numbers.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

// The dimensions to reduce: an attribute first, an input since opset 13 (ReduceSum) or 18. Nothing where none is meant.
std::vector<int64_t> reduced_axes(const Step& step, bool& nothing_to_do) {
  const int64_t rank = step.rank(0);
  std::vector<int64_t> axes = step.integers("axes");
  if (step.has(1)) axes = step.integers(1, "axes");
  nothing_to_do = axes.empty() && step.integer("noop_with_empty_axes", 0) != 0;
  if (axes.empty()) {
    axes.resize(static_cast<size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
  }
  return step.axes(axes, rank);
}

Value product_over(Step& step, const std::vector<int64_t>& axes, bool keep) {
  Value result = step.in(0);
  for (size_t i = axes.size(); i-- > 0;) result = step.call("aten.prod.dim_int", {result, axes[i], keep});
  return result;
}

// Integers keep their type.
void give_sum(Step& step, const Value& sum) { step.give(of_type(step, sum, step.dtype(0))); }

}  // namespace

void build_reduction(Step& step) {
  const Value& x = step.in(0);
  const bool keep = step.integer("keepdims", 1) != 0;
  bool nothing_to_do = false;
  const std::vector<int64_t> axes = reduced_axes(step, nothing_to_do);
  const std::string_view type = step.op_type();
  if (nothing_to_do) {
    if (type != "ReduceMean" && type != "ReduceSum" && type != "ReduceMax" && type != "ReduceMin")
      step.refuse("axes", "dimensions", "none");
    return step.give(x);
  }
  if (type == "ReduceMean") return step.give(step.call("aten.mean.dim", {x, axes, keep}));
  if (type == "ReduceSum") return give_sum(step, step.call("aten.sum.dim_IntList", {x, axes, keep}));
  if (type == "ReduceMax") return step.give(step.call("aten.amax.default", {x, axes, keep}));
  if (type == "ReduceMin") return step.give(step.call("aten.amin.default", {x, axes, keep}));
  if (type == "ReduceProd") return give_sum(step, product_over(step, axes, keep));
  if (type == "ReduceLogSumExp") return step.give(step.call("aten.logsumexp.default", {x, axes, keep}));
  if (type == "ReduceSumSquare") {
    const Value squares = step.call("aten.mul.Tensor", {x, x});
    return give_sum(step, step.call("aten.sum.dim_IntList", {squares, axes, keep}));
  }
  const double power = type == "ReduceL1" ? 1.0 : 2.0;
  step.give(step.call("aten.linalg_vector_norm.default", {x, power, axes, keep}));
}

void build_arg_extremum(Step& step) {
  if (step.integer("select_last_index", 0) != 0) step.refuse("select_last_index", "0", "1");
  const int64_t axis = step.axis(step.integer("axis", 0), step.rank(0));
  const bool keep = step.integer("keepdims", 1) != 0;
  step.give(
      step.call(step.op_type() == "ArgMax" ? "aten.argmax.default" : "aten.argmin.default", {step.in(0), axis, keep}));
}

void build_cum_sum(Step& step) {
  for (const char* flag : {"exclusive", "reverse"}) {
    if (step.integer(flag, 0) != 0) step.refuse(flag, "0", "1");
  }
  const int64_t axis = step.axis(static_cast<int64_t>(step.number(1, "axis")), step.rank(0));
  give_sum(step, step.call("aten.cumsum.default", {step.in(0), axis}));
}

void build_top_k(Step& step) {
  const auto count = static_cast<int64_t>(step.number(1, "k"));
  const int64_t axis = step.axis(step.integer("axis", -1), step.rank(0));
  const std::vector<Value> found = step.call_several(
      "aten.topk.default", {step.in(0), count, axis, step.integer("largest", 1) != 0, step.integer("sorted", 1) != 0});
  for (size_t i = 0; i < found.size(); ++i) step.give(i, found[i]);
}

}  // namespace octet::onnx
