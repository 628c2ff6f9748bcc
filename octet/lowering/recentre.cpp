#include "octet/lowering/recentre.h"

#include <algorithm>

#include "octet/graph/constant_value.h"
#include "octet/lowering/rule.h"
#include "octet/support/error.h"

namespace octet::lowering {
namespace {

constexpr int64_t kHalf = 128;

// With one zero point that is known beforehand.
bool is_on_uint8(const Node& node) {
  return (node.is(Trait::kQuantize) || node.is(Trait::kDequantize)) && node.has_arg("zero_point") &&
         node.arg("zero_point").is_constant() && node.has_arg("dtype") && node.arg("dtype").is_constant() &&
         node.arg("dtype").to_int() == static_cast<int64_t>(at::kByte);
}

// Levels that the program holds, of a weight or another constant.
Node* recentred_constant(GraphModule& module, const Node& levels, Node* reader) {
  const at::Tensor values = constant_value(module, levels).to(at::kShort) - kHalf;
  const std::string name = module.free_name(octet::str(levels.name(), "_int8"));
  module.set_attr(name, values.to(at::kChar), AttrKind::kConstant);
  const auto at_reader = module.graph().inserting_before(reader);
  return module.graph().get_attr(name);
}

}  // namespace

bool computes_in_uint8(const GraphModule& converted) {
  const std::vector<Node*> nodes = converted.graph().nodes();
  return std::any_of(nodes.begin(), nodes.end(), [](const Node* node) {
    if (!is_on_uint8(*node)) return false;
    const std::vector<Node*> around = node->is(Trait::kQuantize) ? node->inputs() : node->users();
    return std::any_of(around.begin(), around.end(), [](const Node* other) { return computes_in_int8(*other); });
  });
}

void recentre_uint8(GraphModule& converted) {
  for (Node* node : converted.graph().nodes()) {
    if (!is_on_uint8(*node)) continue;
    Node* levels = node->arg(size_t{0}).node();
    if (node->is(Trait::kDequantize) && !levels->is(Trait::kQuantize) && is_constant_value(*levels)) {
      node->set_arg(size_t{0}, recentred_constant(converted, *levels, node));
    }
    for (const char* bound : {"zero_point", "quant_min", "quant_max"}) {
      node->set_arg(bound, node->arg(bound).to_int() - kHalf);
    }
    node->set_arg("dtype", static_cast<int64_t>(at::kChar));
  }
}

}  // namespace octet::lowering
