#include "octet/quantize/compare.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// What an activation is made of: operators on values of its input's size, at its place.
class Formula {
 public:
  Formula(Node& activation, Node* x) : activation_(activation), x_(x) {}

  Node* x() const { return x_; }
  double number(const char* argument) const { return activation_.arg(argument).to_double(); }

  Node* call(const std::string& op, std::vector<Arg> args) {
    Node* node = add_call(op, std::move(args), activation_.sizes(), activation_);
    node->notes().erase(kFloatNameNote);
    return node;
  }
  Node* add(Arg a, Arg b) { return call("aten.add.Tensor", {std::move(a), std::move(b)}); }
  Node* sub(Arg a, Arg b) { return call("aten.sub.Tensor", {std::move(a), std::move(b)}); }
  Node* mul(Arg a, Arg b) { return call("aten.mul.Tensor", {std::move(a), std::move(b)}); }
  Node* relu(Node* a) { return call("aten.relu.default", {a}); }
  Node* sigmoid(Node* a) { return call("aten.sigmoid.default", {a}); }
  Node* clamp(Node* a, Arg low, Arg high) { return call("aten.clamp.default", {a, std::move(low), std::move(high)}); }
  Node* scaled(Node* a, double factor) { return factor == 1.0 ? a : mul(a, factor); }

  // max(a, 0) - log(sigmoid(|a|)): the logarithm reads 1/2 to 1 only. |a| by sums, whose grids are their own: abs gives
  // values on the grid of a, which may hold less of them.
  Node* softplus(Node* a) {
    Node* positive = relu(a);
    Node* magnitude = sub(add(positive, positive), a);
    return sub(positive, call("aten.log.default", {sigmoid(magnitude)}));
  }
  // max(x, 0) * positive + (exp(min(x, 0) * inner) - 1) * negative
  Node* elu(double positive, double negative, double inner) {
    Node* exponential = call("aten.exp.default", {scaled(clamp(x_, Arg(), 0.0), inner)});
    Node* below = scaled(sub(exponential, 1.0), negative);
    return add(scaled(relu(x_), positive), below);
  }

 private:
  Node& activation_;
  Node* x_;
};

using Compose = std::function<Node*(Formula& f)>;

// Calls of `name` and of its in-place form become what `compose` makes, where `wanted` holds.
bool decompose(GraphModule& module, const std::string& name, const Compose& compose,
               const std::function<bool(const Node&)>& wanted = nullptr) {
  const OpName op("aten." + name + ".default");
  const OpName in_place("aten." + name + "_.default");
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [&](const Node& n) { return n.is_call(op) || n.is_call(in_place); })) {
    Node* x = node->arg("self").node();
    if (x == nullptr || !x->meta() || !node->meta() || !at::isFloatingType(x->meta()->dtype)) continue;
    if ((wanted && !wanted(*node)) || !may_be_replaced(*node)) continue;
    const auto here = module.graph().inserting_before(node);
    Formula formula(*node, x);
    Node* result = compose(formula);
    result->notes()[kFloatNameNote] = float_name(*node);
    replace_node(node, result);
    changed = true;
  }
  return changed;
}

}  // namespace

bool decompose_silu(GraphModule& module) {
  return decompose(module, "silu", [](Formula& f) { return f.mul(f.x(), f.sigmoid(f.x())); });
}

bool decompose_hardsigmoid(GraphModule& module) {
  return decompose(module, "hardsigmoid",
                   [](Formula& f) { return f.mul(f.call("aten.relu6.default", {f.add(f.x(), 3.0)}), 1.0 / 6.0); });
}

bool decompose_softplus(GraphModule& module) {
  const auto compose = [](Formula& f) {
    const double beta = f.number("beta");
    return f.scaled(f.softplus(f.scaled(f.x(), beta)), 1.0 / beta);
  };
  // Beyond the threshold softplus is its input, off by exp(-threshold).
  constexpr double kUnseenThreshold = 15.0;
  return decompose(module, "softplus", compose, [](const Node& node) {
    return node.arg("beta").to_double() != 0.0 && node.arg("threshold").to_double() >= kUnseenThreshold;
  });
}

bool decompose_mish(GraphModule& module) {
  return decompose(module, "mish",
                   [](Formula& f) { return f.mul(f.x(), f.call("aten.tanh.default", {f.softplus(f.x())})); });
}

bool decompose_elu(GraphModule& module) {
  bool changed = decompose(module, "elu", [](Formula& f) {
    const double scale = f.number("scale");
    return f.elu(scale, f.number("alpha") * scale, f.number("input_scale"));
  });
  changed |= decompose(module, "selu", [](Formula& f) {
    constexpr double kAlpha = 1.6732632423543772848170429916717;
    constexpr double kScale = 1.0507009873554804934193349852946;
    return f.elu(kScale, kAlpha * kScale, 1.0);
  });
  changed |= decompose(
      module, "celu", [](Formula& f) { return f.elu(1.0, f.number("alpha"), 1.0 / f.number("alpha")); },
      [](const Node& node) { return node.arg("alpha").to_double() > 0.0; });
  return changed;
}

bool decompose_shrinks(GraphModule& module) {
  bool changed = decompose(module, "softshrink", [](Formula& f) {
    const double bound = f.number("lambd");
    return f.sub(f.x(), f.clamp(f.x(), -bound, bound));
  });
  // log(sigmoid(x)) without its wide range: min(x, 0) + log(sigmoid(|x|)).
  changed |= decompose(module, "log_sigmoid", [](Formula& f) {
    Node* negative = f.clamp(f.x(), Arg(), 0.0);
    Node* magnitude = f.sub(f.x(), f.add(negative, negative));
    return f.add(negative, f.call("aten.log.default", {f.sigmoid(magnitude)}));
  });
  changed |= decompose(
      module, "threshold", [](Formula& f) { return f.clamp(f.x(), f.number("threshold"), Arg()); },
      [](const Node& node) { return node.arg("threshold").to_double() == node.arg("value").to_double(); });
  changed |= decompose(
      module, "rrelu",
      [](Formula& f) {
        return f.call("aten.leaky_relu.default", {f.x(), (f.number("lower") + f.number("upper")) / 2});
      },
      [](const Node& node) { return !node.arg("training").to_bool(); });
  return changed;
}

bool decompose_gelu(GraphModule& module, GeluForm form) {
  const auto by_sigmoid = [](Formula& f) { return f.mul(f.x(), f.sigmoid(f.mul(f.x(), 1.702))); };
  const auto by_tanh = [](Formula& f) {
    constexpr double kTwiceRootOfTwoByPi = 1.5957691216057308;
    // Beyond 5 the sigmoid is 0 or 1 to 1e-5, and the cube only takes levels from what counts.
    Node* near = f.clamp(f.x(), -5.0, 5.0);
    Node* slope = f.add(f.mul(f.mul(near, near), 0.044715 * kTwiceRootOfTwoByPi), kTwiceRootOfTwoByPi);
    return f.mul(f.x(), f.sigmoid(f.mul(near, slope)));
  };
  return decompose(module, "gelu", form == GeluForm::kTanh ? Compose(by_tanh) : Compose(by_sigmoid));
}

}  // namespace octet::targets
