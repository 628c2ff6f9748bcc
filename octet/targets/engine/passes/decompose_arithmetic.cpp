#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <span>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/copies.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Parts = Node* (*)(GraphModule&, Node*);

bool is_float_node(const Node* node) {
  return node != nullptr && node->meta() && at::isFloatingType(node->meta()->dtype);
}

// The factor of an argument; nullopt where the program computes it.
std::optional<double> factor_of(const Node& node, const char* argument) {
  if (!node.arg(argument).is_constant()) return std::nullopt;
  return node.arg(argument).to_double();
}

// The sizes of what `a` and `b` broadcast to.
std::vector<int64_t> broadcast_sizes(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::vector<int64_t> sizes = a.size() > b.size() ? a : b;
  const std::vector<int64_t>& shorter = a.size() > b.size() ? b : a;
  for (size_t i = 1; i <= shorter.size(); ++i) {
    int64_t& size = sizes[sizes.size() - i];
    if (size == 1) size = shorter[shorter.size() - i];
  }
  return sizes;
}

Node* sum_of(Node* a, Node* b, const Node& like) { return add_call("aten.add.Tensor", {a, b}, like.sizes(), like); }

// other - alpha * self
Node* reversed_difference(GraphModule& module, Node* node) {
  Node* self = node->arg("self").node();
  const Arg& other = node->arg("other");
  const auto alpha = factor_of(*node, "alpha");
  const bool is_scaled = alpha && *alpha != 1.0;
  if (self == nullptr || !self->meta() || !alpha || (is_scaled && !is_float_node(node))) return nullptr;
  if (self->meta()->dtype != node->meta()->dtype) return nullptr;
  Node* from = other.node();
  if (from == nullptr) {
    if (!other.is_constant() || other.constant().isTensor()) return nullptr;
    const at::Tensor number = at::scalar_tensor(other.to_double(), at::TensorOptions(node->meta()->dtype));
    from = add_attr(module, octet::str("minuend_", node->name()), number, AttrKind::kConstant);
  }
  return add_call("aten.sub.Tensor", {from, add_scaled(module, self, *alpha, *node)}, node->sizes(), *node);
}

Node* product_with_itself(Node* x, const Node& like) { return add_call("aten.mul.Tensor", {x, x}, x->sizes(), like); }

Node* squared(GraphModule&, Node* node) {
  Node* self = node->arg("self").node();
  return is_float_node(self) ? product_with_itself(self, *node) : nullptr;
}

Node* powered(GraphModule&, Node* node) {
  Node* self = node->arg("self").node();
  const auto exponent = factor_of(*node, "exponent");
  if (!is_float_node(self) || !exponent) return nullptr;
  if (*exponent == -0.5) return add_call("aten.rsqrt.default", {self}, node->sizes(), *node);
  if (*exponent != 2.0 && *exponent != 3.0 && *exponent != 4.0) return nullptr;
  Node* square = product_with_itself(self, *node);
  if (*exponent == 2.0) return square;
  if (*exponent == 4.0) return product_with_itself(square, *node);
  return add_call("aten.mul.Tensor", {square, self}, node->sizes(), *node);
}

// self + value * tensor1 * tensor2; the value goes into a constant where there is one, and is folded.
Node* product_added(GraphModule& module, Node* node) {
  Node* self = node->arg("self").node();
  Node* first = node->arg("tensor1").node();
  Node* second = node->arg("tensor2").node();
  const auto value = factor_of(*node, "value");
  if (!is_float_node(self) || !is_float_node(first) || !is_float_node(second) || !value) return nullptr;
  Node*& scaled = is_static(second) ? second : first;
  scaled = add_scaled(module, scaled, *value, *node);
  const std::vector<int64_t> sizes = broadcast_sizes(first->sizes(), second->sizes());
  return sum_of(self, add_call("aten.mul.Tensor", {first, second}, sizes, *node), *node);
}

// Of each three elements, times those that follow in a ring: the next of one with the last of the other, and the other
// way round.
Node* cross_product(GraphModule&, Node* node) {
  Node* a = node->arg("self").node();
  Node* b = node->arg("other").node();
  if (!is_float_node(a) || !is_float_node(b) || a->sizes() != b->sizes() || !node->arg("dim").is_constant()) {
    return nullptr;
  }
  const std::vector<int64_t>& sizes = node->sizes();
  const bool is_first_of_three = node->arg("dim").is_none();
  const int64_t dim = is_first_of_three ? std::find(sizes.begin(), sizes.end(), 3) - sizes.begin()
                                        : positive_dim(node->arg("dim").to_int(), node->meta()->rank());
  if (dim == 0) return nullptr;
  const auto turned = [&](Node* x, std::vector<int64_t> places) { return put_together(x, {dim, places}, *node); };
  const auto times = [&](Node* x, Node* y) { return add_call("aten.mul.Tensor", {x, y}, sizes, *node); };
  Node* forth = times(turned(a, {1, 2, 0}), turned(b, {2, 0, 1}));
  Node* back = times(turned(a, {2, 0, 1}), turned(b, {1, 2, 0}));
  return add_call("aten.sub.Tensor", {forth, back}, sizes, *node);
}

// beta * self + alpha * left @ right, for an operator of two factors.
Node* matrix_product_added(GraphModule& module, Node* node, const char* op, const char* left, const char* right) {
  Node* self = node->arg("self").node();
  Node* a = node->arg(left).node();
  Node* b = node->arg(right).node();
  const auto alpha = factor_of(*node, "alpha");
  const auto beta = factor_of(*node, "beta");
  if (!is_float_node(self) || !is_float_node(a) || !is_float_node(b) || !alpha || !beta) return nullptr;
  Node* product = add_call(op, {a, b}, node->sizes(), *node);
  return sum_of(add_scaled(module, product, *alpha, *node), add_scaled(module, self, *beta, *node), *node);
}

Node* batched_product_added(GraphModule& module, Node* node) {
  return matrix_product_added(module, node, "aten.bmm.default", "batch1", "batch2");
}

Node* any_product_added(GraphModule& module, Node* node) {
  return matrix_product_added(module, node, "aten.mm.default", "mat1", "mat2");
}

// With a constant matrix it is a linear.
Node* computed_product_added(GraphModule& module, Node* node) {
  return is_static(node->arg("mat2").node()) ? nullptr : any_product_added(module, node);
}

// self + (alpha * other), and minus
Node* scaled_first(GraphModule& module, Node* node) {
  const auto alpha = factor_of(*node, "alpha");
  if (!alpha || *alpha == 1.0 || !is_float_node(node)) return nullptr;
  Node* other = node->arg("other").node();
  std::vector<Arg> args = {node->arg("self"), Arg()};
  if (is_float_node(other)) {
    args[1] = add_scaled(module, other, *alpha, *node);
  } else if (node->arg("other").is_constant()) {
    const c10::IValue& number = node->arg("other").constant();
    const double value = number.isTensor() ? number.toTensor().item<double>() : node->arg("other").to_double();
    args[1] = c10::IValue(at::scalar_tensor(value * *alpha, at::TensorOptions(node->meta()->dtype)));
  } else {
    return nullptr;
  }
  return add_call(node->target(), std::move(args), node->sizes(), *node);
}

// 1 / self
Node* one_divided(GraphModule& module, Node* node) {
  const at::Tensor one = at::ones({}, at::TensorOptions(node->meta()->dtype));
  Node* dividend = add_attr(module, octet::str("dividend_", node->name()), one, AttrKind::kConstant);
  return add_call("aten.div.Tensor", {dividend, node->arg("self")}, node->sizes(), *node);
}

Node* stacked(GraphModule&, Node* node) {
  if (!node->arg("tensors").is_list() || !node->arg("dim").is_constant()) return nullptr;
  const std::vector<int64_t>& sizes = node->sizes();
  const int64_t dim = positive_dim(node->arg("dim").to_int(), static_cast<int64_t>(sizes.size()));
  std::vector<int64_t> one = sizes;
  one.at(static_cast<size_t>(dim)) = 1;
  std::vector<Arg> parts;
  for (const Arg& tensor : node->arg("tensors").list()) {
    if (!tensor.is_node()) return nullptr;
    parts.emplace_back(tensor);
  }
  for (Arg& part : parts) part = add_call("aten.unsqueeze.default", {part, dim}, one, *node);
  return add_call("aten.cat.default", {Arg(std::move(parts)), dim}, sizes, *node);
}

// Another name of the operator, with the same arguments.
template <size_t N>
Node* renamed(Node* node, const char (&op)[N]) {
  return add_call(op, node->args(), node->sizes(), *node);
}

// clamp with one bound
Node* bounded(Node* node, std::string_view bound) {
  if (!node->arg(bound).is_constant()) return nullptr;
  std::vector<Arg> args = {node->arg("self"), Arg(), Arg()};
  args[bound == "min" ? 1 : 2] = node->arg(bound);
  return add_call("aten.clamp.default", std::move(args), node->sizes(), *node);
}

// hstack, vstack and their like: a cat along that dimension, of tensors that have it.
Node* stacked_along(Node* node, int64_t dim) {
  if (!node->arg("tensors").is_list()) return nullptr;
  const auto rank = static_cast<int64_t>(node->sizes().size());
  for (const Arg& tensor : node->arg("tensors").list()) {
    if (!tensor.is_node() || !tensor.node()->meta() || tensor.node()->meta()->rank() != rank) return nullptr;
  }
  if (dim >= rank) return nullptr;
  return add_call("aten.cat.default", {node->arg("tensors"), dim}, node->sizes(), *node);
}

struct ArithmeticRow {
  OpName op;
  Parts parts;  // nullptr: declined, and nothing made
};

// Products of two computed values.
constexpr ArithmeticRow kPowers[] = {
    {"aten.square.default", squared},
    {"aten.pow.Tensor_Scalar", powered},
    {"aten.addcmul.default", product_added},
    {"aten.cross.default", cross_product},
    {"aten.linalg_cross.default", cross_product},
};

constexpr ArithmeticRow kArithmetic[] = {
    {"aten.baddbmm.default", batched_product_added},
    {"aten.addmm.default", computed_product_added},
    {"aten.divide.Tensor", [](GraphModule&, Node* node) { return renamed(node, "aten.div.Tensor"); }},
    {"aten.true_divide.Tensor", [](GraphModule&, Node* node) { return renamed(node, "aten.div.Tensor"); }},
    {"aten.absolute.default", [](GraphModule&, Node* node) { return renamed(node, "aten.abs.default"); }},
    {"aten.special_expit.default", [](GraphModule&, Node* node) { return renamed(node, "aten.sigmoid.default"); }},
    {"aten.special_softmax.default", [](GraphModule&, Node* node) { return renamed(node, "aten.softmax.int"); }},
    {"aten.linalg_matmul.default", [](GraphModule&, Node* node) { return renamed(node, "aten.matmul.default"); }},
};

// Of whole numbers too.
constexpr ArithmeticRow kOfAnyNumbers[] = {
    {"aten.rsub.Scalar", reversed_difference},
    {"aten.rsub.Tensor", reversed_difference},
    {"aten.stack.default", stacked},
    {"aten.clamp_min.default", [](GraphModule&, Node* node) { return bounded(node, "min"); }},
    {"aten.clamp_max.default", [](GraphModule&, Node* node) { return bounded(node, "max"); }},
    {"aten.multiply.Tensor", [](GraphModule&, Node* node) { return renamed(node, "aten.mul.Tensor"); }},
    {"aten.subtract.Tensor", [](GraphModule&, Node* node) { return renamed(node, "aten.sub.Tensor"); }},
    {"aten.concat.default", [](GraphModule&, Node* node) { return renamed(node, "aten.cat.default"); }},
    {"aten.concatenate.default", [](GraphModule&, Node* node) { return renamed(node, "aten.cat.default"); }},
    {"aten.hstack.default", [](GraphModule&, Node* node) { return stacked_along(node, node->sizes().size() > 1); }},
    {"aten.column_stack.default", [](GraphModule&, Node* node) { return stacked_along(node, 1); }},
    {"aten.vstack.default", [](GraphModule&, Node* node) { return stacked_along(node, 0); }},
    {"aten.row_stack.default", [](GraphModule&, Node* node) { return stacked_along(node, 0); }},
    {"aten.dstack.default", [](GraphModule&, Node* node) { return stacked_along(node, 2); }},
    {"aten.negative.default", [](GraphModule&, Node* node) { return renamed(node, "aten.neg.default"); }},
    {"aten.clip.default", [](GraphModule&, Node* node) { return renamed(node, "aten.clamp.default"); }},
    {"aten.max.other", [](GraphModule&, Node* node) { return renamed(node, "aten.maximum.default"); }},
    {"aten.min.other", [](GraphModule&, Node* node) { return renamed(node, "aten.minimum.default"); }},
};

constexpr ArithmeticRow kAddmm[] = {{"aten.addmm.default", any_product_added}};
constexpr ArithmeticRow kAlpha[] = {{"aten.add.Tensor", scaled_first}, {"aten.sub.Tensor", scaled_first}};
constexpr ArithmeticRow kReciprocal[] = {{"aten.reciprocal.default", one_divided}};

using Rows = std::span<const ArithmeticRow>;

const ArithmeticRow* arithmetic_row(Rows rows, const Node& node) {
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const ArithmeticRow& each) { return node.is_call(each.op); });
  return row == rows.end() ? nullptr : &*row;
}

// What is computed from constants alone is folded.
bool is_taken_apart(Rows rows, const Node& node, bool of_any_numbers) {
  if (arithmetic_row(rows, node) == nullptr || !node.meta()) return false;
  if (!of_any_numbers && !is_float_node(&node)) return false;
  const std::vector<Node*> inputs = node.inputs();
  return !std::all_of(inputs.begin(), inputs.end(), [](const Node* input) { return is_static(input); });
}

bool take_apart(GraphModule& module, Rows rows, bool of_any_numbers = false) {
  const at::NoGradGuard no_grad;
  bool changed = false;
  for (Node* node :
       calls_where(module.graph(), [&](const Node& each) { return is_taken_apart(rows, each, of_any_numbers); })) {
    const auto here = module.graph().inserting_before(node);
    Node* parts = arithmetic_row(rows, *node)->parts(module, node);
    if (parts == nullptr) continue;
    replace_by_parts(node, parts);
    changed = true;
  }
  return changed;
}

}  // namespace

bool decompose_arithmetic(GraphModule& module) {
  const bool changed = take_apart(module, kArithmetic);
  return take_apart(module, kOfAnyNumbers, true) || changed;
}

bool decompose_powers(GraphModule& module) { return take_apart(module, kPowers); }

bool decompose_addmm(GraphModule& module) { return take_apart(module, kAddmm); }

bool decompose_alpha(GraphModule& module) { return take_apart(module, kAlpha); }

bool decompose_reciprocal(GraphModule& module) { return take_apart(module, kReciprocal); }

}  // namespace octet::targets
