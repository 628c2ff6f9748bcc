#include "octet/formats/float32.h"

#include <ATen/Functions.h>

#include <cmath>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/support/log.h"

namespace octet {
namespace {

constexpr double kHighest = std::numeric_limits<float>::max();

bool is_other_float(at::ScalarType type) { return type == at::kDouble || type == at::kHalf || type == at::kBFloat16; }

class Conversion {
 public:
  Conversion(GraphModule& module, std::set<at::ScalarType> types) : module_(module), types_(std::move(types)) {
    for (const Node* input : module.graph().placeholders()) {
      if (input->meta()) note(input->meta()->dtype);
    }
    for (const std::string& name : module.attr_names()) {
      if (module.attr_kind(name) == AttrKind::kParameter) note(module.attr(name).scalar_type());
    }
  }

  // The types that were found; empty where there was nothing to do.
  std::set<at::ScalarType> run() {
    if (types_.empty()) return {};
    for (const std::string& name : module_.attr_names()) convert(name);
    for (Node* node : module_.graph().nodes()) convert(*node);
    for (Node* node : module_.graph().nodes()) drop_idle_cast(node);
    return met_;
  }

 private:
  void note(at::ScalarType type) {
    if (is_other_float(type)) types_.insert(type);
  }

  bool is_met(at::ScalarType type) {
    if (types_.count(type) == 0) return false;
    met_.insert(type);
    return true;
  }

  void convert(const std::string& name) {
    const at::Tensor value = module_.attr(name);
    if (!is_met(value.scalar_type())) return;
    at::Tensor wide = value.detach();
    if (wide.scalar_type() == at::kDouble) wide = at::where(wide.isinf(), wide, wide.clamp(-kHighest, kHighest));
    wide = wide.to(at::kFloat);
    module_.set_attr(name, wide.set_requires_grad(value.requires_grad()), module_.attr_kind(name));
  }

  void convert(Node& node) {
    std::optional<TensorMeta> meta = node.meta();
    if (meta && is_met(meta->dtype)) {
      meta->dtype = at::kFloat;
      node.set_meta(std::move(meta));
      converted_.insert(&node);
    }
    std::vector<TensorMeta> elements = node.element_metas();
    for (TensorMeta& element : elements) {
      if (is_met(element.dtype)) element.dtype = at::kFloat;
    }
    node.set_element_metas(std::move(elements));
    if (!node.is_call()) return;
    const auto& formals = node.op().schema().arguments();
    for (size_t i = 0; i < formals.size(); ++i) {
      const Arg& arg = node.arg(i);
      if (!arg.is_constant()) continue;
      const c10::IValue& constant = arg.constant();
      if (is_type(formals[i]) && constant.isInt()) {
        if (!is_met(static_cast<at::ScalarType>(constant.toInt()))) continue;
        node.set_arg(i, Arg(at::kFloat));
      } else if (constant.isDouble() && std::isfinite(constant.toDouble()) &&
                 std::abs(constant.toDouble()) > kHighest) {
        node.set_arg(i, Arg(std::copysign(kHighest, constant.toDouble())));
      }
    }
  }

  static bool is_type(const c10::Argument& formal) {
    c10::TypePtr type = formal.real_type();
    if (const auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
    return type->kind() == c10::TypeKind::ScalarTypeType;
  }

  // A cast between types that are float32 now; one that somebody writes into stays, as a copy.
  void drop_idle_cast(Node* node) {
    if (!node->is_call("aten.to.dtype") && !node->is_call("aten._to_copy.default")) return;
    Node* source = node->arg(size_t{0}).node();
    if (source == nullptr || !source->meta() || source->meta() != node->meta()) return;
    if (converted_.count(node) == 0 && converted_.count(source) == 0) return;  // what was one before is not ours
    const std::vector<Node*> users = node->users();
    const bool is_written = std::any_of(users.begin(), users.end(),
                                        [](const Node* user) { return user->is_call() && user->op().mutates(); });
    if (is_written) return;
    node->replace_all_uses_with(source);
    module_.graph().erase(node);
  }

  GraphModule& module_;
  std::set<at::ScalarType> types_;
  std::set<at::ScalarType> met_;
  std::set<const Node*> converted_;  // nodes whose values were of another type
};

}  // namespace

void convert_to_float32(GraphModule& module, std::set<at::ScalarType> beside, const std::string& file) {
  const std::set<at::ScalarType> met = Conversion(module, std::move(beside)).run();
  if (met.empty()) return;
  std::vector<std::string> names;
  for (const at::ScalarType type : met) names.push_back(dtype_name(type));
  log::info("[", file, "] holds ", join(" and ", names), "; octet reads it as float32, with inputs in float32");
}

}  // namespace octet
