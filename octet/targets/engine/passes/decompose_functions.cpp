#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <span>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// A call that is taken apart, and the operators that stand in its place.
class Function {
 public:
  explicit Function(Node& node) : node_(node) {}

  const Node& node() const { return node_; }
  Node* x() const { return node_.arg(size_t{0}).node(); }

  Node* sized(const Sizes& sizes, const std::string& op, std::vector<Arg> args) {
    return add_call(op, std::move(args), sizes, node_);
  }
  Node* call(const std::string& op, std::vector<Arg> args) { return sized(node_.sizes(), op, std::move(args)); }
  Node* unary(const std::string& op, Node* a) { return sized(a->sizes(), "aten." + op + ".default", {a}); }

  Node* add(Arg a, Arg b) { return call("aten.add.Tensor", {std::move(a), std::move(b)}); }
  Node* sub(Arg a, Arg b) { return call("aten.sub.Tensor", {std::move(a), std::move(b)}); }
  Node* mul(Arg a, Arg b) { return call("aten.mul.Tensor", {std::move(a), std::move(b)}); }
  Node* div(Arg a, Arg b) { return call("aten.div.Tensor", {std::move(a), std::move(b)}); }

  // Booleans of a's sizes: how `a` stands to a number, by "lt", "ge", ...
  Node* compared(const std::string& how, Node* a, double value) {
    Node* result = sized(a->sizes(), "aten." + how + ".Tensor", {a, number(value)});
    result->set_meta(TensorMeta{at::kBool, a->sizes()});
    return result;
  }
  Node* where(const Sizes& sizes, Node* condition, Arg chosen, Arg other) {
    return sized(sizes, "aten.where.self", {condition, std::move(chosen), std::move(other)});
  }

  // In a tensor's place, of the function's type.
  Arg number(double value) const {
    return c10::IValue(at::scalar_tensor(value, at::TensorOptions(node_.meta()->dtype)));
  }
  // The tensor or the number that the function reads there; nullopt for anything else.
  std::optional<Arg> operand(const char* argument) const {
    const Arg& arg = node_.arg(argument);
    if (arg.is_node()) return arg;
    if (!arg.is_constant()) return std::nullopt;
    const c10::IValue& value = arg.constant();
    if (value.isTensor()) return value.toTensor().dim() == 0 ? std::optional(arg) : std::nullopt;
    return value.isScalar() ? std::optional(number(arg.to_double())) : std::nullopt;
  }

 private:
  Node& node_;
};

// ---- functions of one value -----------------------------------------------------------------------------------------

// pi/2 - asin(x)
Node* arc_cosine(Function& f) { return f.sub(f.number(std::numbers::pi / 2), f.unary("asin", f.x())); }

Node* tangent(Function& f) {
  Node* sine = f.unary("sin", f.x());
  return f.div(sine, f.unary("cos", f.x()));
}

Node* exponential_less_one(Function& f) { return f.sub(f.unary("exp", f.x()), f.number(1)); }

Node* logarithm_to(Function& f, double base) { return f.div(f.unary("log", f.x()), f.number(std::log(base))); }
Node* binary_logarithm(Function& f) { return logarithm_to(f, 2); }
Node* decimal_logarithm(Function& f) { return logarithm_to(f, 10); }
Node* logarithm_of_one_more(Function& f) { return f.unary("log", f.add(f.x(), f.number(1))); }

// (exp(x) -+ exp(-x)) / 2
Node* half_of_exponentials(Function& f, const std::string& op) {
  Node* rising = f.unary("exp", f.x());
  Node* falling = f.unary("exp", f.unary("neg", f.x()));
  return f.mul(f.call(op, {rising, falling}), f.number(0.5));
}
Node* hyperbolic_sine(Function& f) { return half_of_exponentials(f, "aten.sub.Tensor"); }
Node* hyperbolic_cosine(Function& f) { return half_of_exponentials(f, "aten.add.Tensor"); }

// log(x + sqrt(x x +- 1))
Node* logarithm_with_root(Function& f, const std::string& op) {
  Node* radicand = f.call(op, {f.mul(f.x(), f.x()), f.number(1)});
  return f.unary("log", f.add(f.x(), f.unary("sqrt", radicand)));
}
Node* area_sine(Function& f) { return logarithm_with_root(f, "aten.add.Tensor"); }
Node* area_cosine(Function& f) { return logarithm_with_root(f, "aten.sub.Tensor"); }

// log((1 + x) / (1 - x)) / 2
Node* area_tangent(Function& f) {
  Node* more = f.add(f.number(1), f.x());
  Node* ratio = f.div(more, f.sub(f.number(1), f.x()));
  return f.mul(f.number(0.5), f.unary("log", ratio));
}

// sign(x) floor(|x|)
Node* truncated(Function& f) {
  Node* sign = f.unary("sign", f.x());
  return f.mul(sign, f.unary("floor", f.unary("abs", f.x())));
}

// value where x <= threshold, else x
Node* cut_below_threshold(Function& f) {
  Node* below = f.compared("le", f.x(), f.node().arg("threshold").to_double());
  return f.where(f.node().sizes(), below, f.number(f.node().arg("value").to_double()), f.x());
}

// ---- of two ---------------------------------------------------------------------------------------------------------

Node* rounded_quotient(Function& f) {
  const auto divisor = f.operand("other");
  const Arg& mode = f.node().arg("rounding_mode");
  if (!divisor || f.x() == nullptr) return nullptr;
  Node* quotient = f.div(f.x(), *divisor);
  if (mode.is_none()) return quotient;
  return f.unary(mode.to_string() == "floor" ? "floor" : "trunc", quotient);
}

// x - floor(x / y) y
Node* remainder_of(Function& f) {
  const auto dividend = f.operand("self");
  const auto divisor = f.operand("other");
  if (!dividend || !divisor) return nullptr;
  Node* whole = f.unary("floor", f.div(*dividend, *divisor));
  return f.sub(*dividend, f.mul(whole, *divisor));
}

// By the arc tangent of y / x, half a turn further where x is negative, and the quarter turns where x is 0.
Node* angle(Function& f) {
  Node* y = f.x();
  Node* x = f.node().arg("other").node();
  if (y == nullptr || x == nullptr) return nullptr;
  constexpr double kHalfTurn = std::numbers::pi;
  constexpr double kQuarterTurn = std::numbers::pi / 2;
  const Sizes& all = f.node().sizes();
  Node* upright = f.compared("eq", x, 0);
  Node* divisor = f.where(x->sizes(), upright, f.number(1), x);
  Node* base = f.unary("atan", f.div(y, divisor));
  Node* left = f.compared("lt", x, 0);
  Node* turn = f.where(y->sizes(), f.compared("ge", y, 0), f.number(kHalfTurn), f.number(-kHalfTurn));
  Node* turned = f.add(base, f.where(all, left, turn, f.number(0)));
  Node* quarter = f.where(y->sizes(), f.compared("gt", y, 0), f.number(kQuarterTurn), f.number(-kQuarterTurn));
  Node* of_upright = f.where(y->sizes(), f.compared("eq", y, 0), f.number(0), quarter);
  return f.where(all, upright, of_upright, turned);
}

// ---- along dimensions -----------------------------------------------------------------------------------------------

Sizes with_ones(Sizes sizes, const Sizes& dims) {
  for (const int64_t dim : dims) sizes.at(static_cast<size_t>(dim)) = 1;
  return sizes;
}

// Those that an argument names, counted from the front; all where it names none.
Sizes dims_of(const Node& node) {
  const Arg& arg = node.arg("dim");
  const auto rank = static_cast<int64_t>(node.arg(size_t{0}).node()->sizes().size());
  Sizes dims = arg.is_none() ? Sizes() : arg.to_ints();
  if (dims.empty()) {
    dims.resize(static_cast<size_t>(rank));
    std::iota(dims.begin(), dims.end(), 0);
  }
  for (int64_t& dim : dims) dim = positive_dim(dim, rank);
  return dims;
}

// mean((x - mean(x))^2) n / (n - correction)
Node* variance(Function& f, double correction) {
  const Sizes dims = dims_of(f.node());
  double count = 1;
  for (const int64_t dim : dims) count *= static_cast<double>(f.x()->sizes().at(static_cast<size_t>(dim)));
  const bool counts_samples = std::find(dims.begin(), dims.end(), 0) != dims.end();
  if (counts_samples || count <= correction) return nullptr;
  const Sizes& sizes = f.x()->sizes();
  Node* mean = f.sized(with_ones(sizes, dims), "aten.mean.dim", {f.x(), dims, true});
  Node* difference = f.sized(sizes, "aten.sub.Tensor", {f.x(), mean});
  Node* square = f.sized(sizes, "aten.mul.Tensor", {difference, difference});
  Node* result = f.call("aten.mean.dim", {square, dims, f.node().arg("keepdim").to_bool()});
  return correction == 0 ? result : f.mul(result, f.number(count / (count - correction)));
}
Node* corrected_variance(Function& f) {
  const Arg& correction = f.node().arg("correction");
  return variance(f, correction.is_none() ? 1.0 : correction.to_double());
}
Node* unbiased_variance(Function& f) { return variance(f, f.node().arg("unbiased").to_bool() ? 1.0 : 0.0); }

// The root of the variance; nullptr where that is declined.
Node* root_of(Function& f, Node* variance) { return variance == nullptr ? nullptr : f.unary("sqrt", variance); }
Node* corrected_deviation(Function& f) { return root_of(f, corrected_variance(f)); }
Node* unbiased_deviation(Function& f) { return root_of(f, unbiased_variance(f)); }

// (sum |x|^p)^(1/p); the largest or smallest |x| where p is infinite
Node* vector_norm(Function& f) {
  const double order = f.node().arg("ord").to_double();
  if (order == 0 || !f.node().arg("dtype").is_none() || f.node().arg("dim").is_none()) return nullptr;
  const Sizes dims = dims_of(f.node());
  const bool keeps = f.node().arg("keepdim").to_bool();
  Node* magnitude = f.unary("abs", f.x());
  if (std::isinf(order)) return f.call(order > 0 ? "aten.amax.default" : "aten.amin.default", {magnitude, dims, keeps});
  Node* power = f.sized(f.x()->sizes(), "aten.pow.Tensor_Scalar", {magnitude, order});
  Node* sum = f.call("aten.sum.dim_IntList", {power, dims, keeps});
  return f.call("aten.pow.Tensor_Scalar", {sum, 1.0 / order});
}

// One half times the sigmoid of the other.
Node* gated(Function& f) {
  const Sizes& sizes = f.node().sizes();
  const int64_t dim = positive_dim(f.node().arg("dim").to_int(), static_cast<int64_t>(sizes.size()));
  const int64_t half = sizes.at(static_cast<size_t>(dim));
  Node* value = f.call("aten.slice.Tensor", {f.x(), dim, int64_t{0}, half});
  Node* gate = f.call("aten.slice.Tensor", {f.x(), dim, half, 2 * half});
  return f.mul(value, f.unary("sigmoid", gate));
}

// Counted in floats, which says so where no type is given: by 1.0.
Node* counted(Function& f) {
  if (f.node().meta()->dtype != at::kFloat) return nullptr;
  return f.call("aten.arange.start_step", {int64_t{0}, f.node().arg("end"), 1.0});
}

// ---- images ---------------------------------------------------------------------------------------------------------

Node* reflected(Function& f) {
  const Sizes amounts = f.node().arg("pad").to_ints();
  if (amounts.size() != 4 || f.node().arg("mode").to_string() != "reflect") return nullptr;
  return f.call("aten.reflection_pad2d.default", {f.x(), amounts});
}

// Pools over depth and height of images that hold the width as channels, then over the width. `rest`: what stands
// behind the padding.
Node* flat_pools(Function& f, const std::string& op, const std::vector<Arg>& rest) {
  const auto triple = [&](const char* argument, const Sizes& otherwise) {
    Sizes values = f.node().arg(argument).to_ints();
    if (values.empty()) values = otherwise;
    if (values.size() == 1) values.resize(3, values.front());
    return values;
  };
  const Sizes kernel = triple("kernel_size", {});
  const Sizes stride = triple("stride", kernel);
  const Sizes padding = triple("padding", {0, 0, 0});
  const Sizes& in = f.x()->sizes();
  const Sizes& out = f.node().sizes();
  if (in.size() != 5) return nullptr;
  const int64_t images = in[0] * in[1];
  const auto pooled = [&](Node* x, const Sizes& sizes, const Sizes& over, const Sizes& by, const Sizes& beside) {
    std::vector<Arg> args = {x, over, by, beside};
    args.insert(args.end(), rest.begin(), rest.end());
    return f.sized(sizes, op, std::move(args));
  };
  Node* moved = add_permute(f.x(), {0, 1, 4, 2, 3}, f.node());
  Node* flat = add_reshape(moved, {images, in[4], in[2], in[3]}, 0, f.node());
  Node* high = pooled(flat, {images, in[4], out[2], out[3]}, {kernel[0], kernel[1]}, {stride[0], stride[1]},
                      {padding[0], padding[1]});
  Node* turned = add_permute(high, {0, 2, 3, 1}, f.node());
  Node* wide = pooled(turned, {images, out[2], out[3], out[4]}, {1, kernel[2]}, {1, stride[2]}, {0, padding[2]});
  return add_reshape(wide, out, 0, f.node());
}

Node* flat_maxima(Function& f) {
  const Sizes dilation = f.node().arg("dilation").to_ints();
  if (std::any_of(dilation.begin(), dilation.end(), [](int64_t by) { return by != 1; })) return nullptr;
  return flat_pools(f, "aten.max_pool2d.default", {Sizes{1, 1}, f.node().arg("ceil_mode")});
}

Node* flat_averages(Function& f) {
  if (!f.node().arg("divisor_override").is_none()) return nullptr;
  return flat_pools(f, "aten.avg_pool2d.default", {f.node().arg("ceil_mode"), f.node().arg("count_include_pad")});
}

Node* volume_mean(Function& f) {
  const Sizes& in = f.x()->sizes();
  const Sizes& out = f.node().sizes();
  if (in.size() != 5 || out[2] * out[3] * out[4] != 1) return nullptr;
  Node* flat = add_reshape(f.x(), {in[0], in[1], in[2] * in[3], in[4]}, 0, f.node());
  Node* mean = f.sized({in[0], in[1], 1, 1}, "aten.adaptive_avg_pool2d.default", {flat, Sizes{1, 1}});
  return add_reshape(mean, out, 0, f.node());
}

struct FunctionRow {
  OpName op;
  Node* (*parts)(Function&);  // nullptr: declined, and nothing made
};

// What an earlier row makes, later ones take apart.
constexpr FunctionRow kFunctions[] = {
    {"aten.acos.default", arc_cosine},
    {"aten.arange.default", counted},
    {"aten.atan2.default", angle},
    {"aten.div.Tensor_mode", rounded_quotient},
    {"aten.max_pool3d.default", flat_maxima},
    {"aten.pad.default", reflected},
    {"aten.tan.default", tangent},
    {"aten.threshold.default", cut_below_threshold},
    {"aten.threshold_.default", cut_below_threshold},
    {"aten.trunc.default", truncated},
    {"aten.var.correction", corrected_variance},
    {"aten.var.dim", unbiased_variance},
    {"aten.expm1.default", exponential_less_one},
    {"aten.special_expm1.default", exponential_less_one},
    {"aten.glu.default", gated},
    {"aten.sinh.default", hyperbolic_sine},
    {"aten.cosh.default", hyperbolic_cosine},
    {"aten.asinh.default", area_sine},
    {"aten.acosh.default", area_cosine},
    {"aten.atanh.default", area_tangent},
    {"aten.remainder.Scalar", remainder_of},
    {"aten.remainder.Scalar_Tensor", remainder_of},
    {"aten.remainder.Tensor", remainder_of},
    {"aten.linalg_vector_norm.default", vector_norm},
    {"aten.log2.default", binary_logarithm},
    {"aten.log10.default", decimal_logarithm},
    {"aten.log1p.default", logarithm_of_one_more},
};

constexpr FunctionRow kGates[] = {{"aten.glu.default", gated}};

constexpr FunctionRow kVariances[] = {
    {"aten.std.correction", corrected_deviation},
    {"aten.std.dim", unbiased_deviation},
    {"aten.var.correction", corrected_variance},
    {"aten.var.dim", unbiased_variance},
};

constexpr FunctionRow kVolumePools[] = {
    {"aten.adaptive_avg_pool3d.default", volume_mean},
    {"aten.avg_pool3d.default", flat_averages},
    {"aten.max_pool3d.default", flat_maxima},
};

bool take_apart(GraphModule& module, std::span<const FunctionRow> rows) {
  const at::NoGradGuard no_grad;
  bool changed = false;
  for (const FunctionRow& row : rows) {
    for (Node* node : calls_where(module.graph(), [&](const Node& each) { return each.is_call(row.op); })) {
      if (!node->meta() || !at::isFloatingType(node->meta()->dtype) || !may_be_replaced(*node)) continue;
      const auto here = module.graph().inserting_before(node);
      Function function(*node);
      Node* parts = row.parts(function);
      if (parts == nullptr) continue;
      replace_by_parts(node, parts);
      changed = true;
    }
  }
  return changed;
}

}  // namespace

bool decompose_functions(GraphModule& module) { return take_apart(module, kFunctions); }

bool decompose_gates(GraphModule& module) { return take_apart(module, kGates); }

bool decompose_variances(GraphModule& module) { return take_apart(module, kVariances); }

bool decompose_volume_pools(GraphModule& module) { return take_apart(module, kVolumePools); }

}  // namespace octet::targets
