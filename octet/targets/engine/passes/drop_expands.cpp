#include <algorithm>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_expand(const Node& node) {
  return (node.is_call("aten.expand.default") || node.is_call("aten.expand_as.default") ||
          node.is_call("aten.broadcast_to.default")) &&
         node.args()[0].is_node() && node.meta() && node.args()[0].node()->meta();
}

bool broadcasts(const Node& node) {
  for (const char* op : {"aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.div.Tensor"}) {
    if (node.is_call(op)) return true;
  }
  return false;
}

// True where the reader's other operand has the result's sizes, so that this one need not have them.
bool needs_no_expand(const Node& reader, const Node& expand) {
  if (!broadcasts(reader) || !reader.meta()) return false;
  const std::vector<Node*> inputs = reader.inputs();
  return inputs.size() == 2 && std::any_of(inputs.begin(), inputs.end(), [&](const Node* input) {
           return input != &expand && !is_expand(*input) && input->meta() &&
                  input->meta()->sizes == reader.meta()->sizes;
         });
}

}  // namespace

bool drop_expands(GraphModule& module) {
  bool changed = false;
  for (Node* expand : calls_where(module.graph(), is_expand)) {
    for (Node* reader : expand->users()) {
      if (!needs_no_expand(*reader, *expand)) continue;
      reader->replace_input(expand, expand->args()[0].node());
      changed = true;
    }
  }
  return changed;
}

}  // namespace octet::targets
