#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// An operator on a number, and the one on a tensor that computes the same.
struct ScalarRow {
  std::string_view op;
  std::string_view tensor_op;
  std::vector<std::string_view> arguments;  // those of the first that become tensors
};

const std::vector<ScalarRow>& scalar_rows() {
  static const std::vector<ScalarRow> rows = {
      {"aten.add.Scalar", "aten.add.Tensor", {"other"}},
      {"aten.add_.Scalar", "aten.add_.Tensor", {"other"}},
      {"aten.sub.Scalar", "aten.sub.Tensor", {"other"}},
      {"aten.rsub.Scalar", "aten.rsub.Tensor", {"other"}},
      {"aten.mul.Scalar", "aten.mul.Tensor", {"other"}},
      {"aten.div.Scalar", "aten.div.Tensor", {"other"}},
      {"aten.div.Scalar_mode", "aten.div.Tensor_mode", {"other"}},
      {"aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", {"exponent"}},
      {"aten.pow.Scalar", "aten.pow.Tensor_Tensor", {"self"}},
      {"aten.eq.Scalar", "aten.eq.Tensor", {"other"}},
      {"aten.ne.Scalar", "aten.ne.Tensor", {"other"}},
      {"aten.ge.Scalar", "aten.ge.Tensor", {"other"}},
      {"aten.gt.Scalar", "aten.gt.Tensor", {"other"}},
      {"aten.le.Scalar", "aten.le.Tensor", {"other"}},
      {"aten.lt.Scalar", "aten.lt.Tensor", {"other"}},
      {"aten.bitwise_xor.Scalar", "aten.bitwise_xor.Tensor", {"other"}},
      {"aten.leaky_relu.default", "aten.prelu.default", {"negative_slope"}},
      {"aten.leaky_relu_.default", "aten.prelu.default", {"negative_slope"}},
      {"aten.where.ScalarSelf", "aten.where.self", {"self"}},
      {"aten.where.ScalarOther", "aten.where.self", {"other"}},
      {"aten.where.Scalar", "aten.where.self", {"self", "other"}},
      {"aten.masked_fill.Scalar", "aten.masked_fill.Tensor", {"value"}},
      {"aten.masked_fill_.Scalar", "aten.masked_fill.Tensor", {"value"}},
  };
  return rows;
}

const ScalarRow* scalar_row(const Node& node) {
  const auto& rows = scalar_rows();
  const auto row =
      std::find_if(rows.begin(), rows.end(), [&](const ScalarRow& each) { return node.is_call(OpName(each.op)); });
  return row == rows.end() ? nullptr : &*row;
}

// A number, or the tensor without dimensions that stands for one.
std::optional<at::Tensor> number_in(const Arg& arg) {
  if (!arg.is_constant()) return std::nullopt;
  const c10::IValue& value = arg.constant();
  if (value.isTensor() && value.toTensor().defined() && value.toTensor().dim() == 0) return value.toTensor();
  if (value.isScalar()) return at::scalar_tensor(value.toScalar(), at::TensorOptions(at::kDouble));
  return std::nullopt;
}

// The numbers of the node that stand in a tensor's place, and those that its row names.
std::vector<size_t> places_of_numbers(const Node& node, const ScalarRow* row) {
  std::vector<size_t> places;
  const auto& arguments = node.op().schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const bool is_tensor = *arguments[i].type() == *c10::TensorType::get();
    const bool named = row != nullptr && std::find(row->arguments.begin(), row->arguments.end(), arguments[i].name()) !=
                                             row->arguments.end();
    if ((is_tensor || named) && number_in(node.arg(i))) places.push_back(i);
  }
  return places;
}

// The type of the result where it is a float, else of what the numbers are held against.
at::ScalarType type_of_numbers(const Node& node) {
  if (at::isFloatingType(node.meta()->dtype)) return node.meta()->dtype;
  for (const Node* input : node.inputs()) {
    if (input->meta() && input->meta()->dtype != at::kBool) return input->meta()->dtype;
  }
  return node.meta()->dtype;
}

bool lift(GraphModule& module, Node* node) {
  const ScalarRow* row = scalar_row(*node);
  const std::vector<size_t> places = places_of_numbers(*node, row);
  if (places.empty() || !node->meta()) return false;
  const std::string op(row != nullptr ? row->tensor_op : std::string_view(node->target()));
  if (op != node->target() && Op::find(op).mutates() != node->op().mutates() && !may_be_replaced(*node)) return false;
  std::vector<Arg> args = node->args();
  const auto here = module.graph().inserting_before(node);
  for (const size_t place : places) {
    const at::Tensor value = number_in(args[place])->to(type_of_numbers(*node));
    args[place] = add_attr(module, "_tensor_constant", value, AttrKind::kConstant);
  }
  Node* lifted = add_call(op, std::move(args), node->sizes(), *node);
  lifted->notes() = node->notes();
  replace_node(node, lifted);
  return true;
}

}  // namespace

bool lift_scalars(GraphModule& module) {
  const at::NoGradGuard no_grad;
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node&) { return true; })) changed |= lift(module, node);
  return changed;
}

}  // namespace octet::targets
