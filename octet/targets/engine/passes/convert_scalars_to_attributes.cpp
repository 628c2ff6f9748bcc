#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// "aten.add.Tensor" for both overloads of an operator that this pass knows.
std::string tensor_overload(const Node& node) {
  if (!node.is_call()) return "";
  for (const char* op : {"aten.add.", "aten.sub.", "aten.mul.", "aten.add_.", "aten.sub_.", "aten.mul_."}) {
    for (const char* overload : {"Tensor", "Scalar"}) {
      if (node.is_call(octet::str(op, overload))) return octet::str(op, "Tensor");
    }
  }
  return "";
}

// A number, or the 0-dim tensor that the importer makes of one.
std::optional<at::Tensor> number(const Arg& arg, at::ScalarType dtype) {
  if (!arg.is_constant()) return std::nullopt;
  const c10::IValue& value = arg.constant();
  if (value.isInt() || value.isDouble()) return at::scalar_tensor(value.toScalar(), at::TensorOptions(dtype));
  const bool scalar = value.isTensor() && value.toTensor().defined() && value.toTensor().dim() == 0 &&
                      value.toTensor().scalar_type() != at::kBool;
  return scalar ? std::optional(value.toTensor().to(dtype)) : std::nullopt;
}

bool convert(GraphModule& module, Node* node, const std::string& op) {
  if (!node->meta()) return false;
  std::vector<Arg> args = node->args();
  const Node* operand = args[0].is_node() ? args[0].node() : args[1].node();
  if (operand == nullptr) return false;
  const at::ScalarType dtype = operand->meta() ? operand->meta()->dtype : node->meta()->dtype;
  // An integer tensor and a fraction: the result's type is not the operand's, and nothing here is quantized.
  if (!at::isFloatingType(dtype) || dtype != node->meta()->dtype) return false;
  bool changed = false;
  const auto here = module.graph().inserting_before(node);
  for (size_t i = 0; i < 2; ++i) {
    const auto value = number(args[i], dtype);
    if (!value) continue;
    args[i] = add_attr(module, octet::str("_scalar_const_", node->name()), *value, AttrKind::kConstant);
    changed = true;
  }
  if (changed) replace_node(node, add_call(op, std::move(args), node->sizes(), *node, node->name()));
  return changed;
}

}  // namespace

bool convert_scalars_to_attributes(GraphModule& module) {
  bool changed = false;
  for (Node* node : module.graph().nodes()) {
    const std::string op = tensor_overload(*node);
    if (!op.empty()) changed |= convert(module, node, op);
  }
  return changed;
}

bool convert_scalars_of(GraphModule& module, const std::vector<std::string_view>& ops) {
  bool changed = false;
  for (Node* node : module.graph().nodes()) {
    const auto is = [&](std::string_view op) { return node->is_call(OpName(op)); };
    if (std::any_of(ops.begin(), ops.end(), is)) changed |= convert(module, node, node->target());
  }
  return changed;
}

}  // namespace octet::targets
