#include "octet/targets/engine/placement/plan_placement.h"

#include <map>

#include "octet/lowering/stats.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

OperatorPlacement row_of(const GraphModule& module, const Node& node, const std::string& why_float) {
  OperatorPlacement row;
  row.op = node.target();
  row.name = node.name();
  row.where = node.where();
  row.macs = macs(module, node);
  row.bytes = static_bytes(module, node);
  if (why_float.empty()) {
    row.partition = 0;
  } else {
    row.reason = octet::str("[", row.where, "] ", why_float);
  }
  return row;
}

Placement empty_placement(const Target& target) {
  Placement placement;
  placement.target = target.name;
  placement.by_patterns = true;
  return placement;
}

bool is_quantized(const QuantRow& row, bool after_quantized) {
  const bool output = row.output.has_value() || !row.outputs.empty();
  if (row.inputs.empty() || !row.inputs.front()) return output && after_quantized;
  return output || (row.inputs.size() > 1 && row.inputs[1].has_value());
}

}  // namespace

Placement place_by_plan(const GraphModule& annotated, const QuantizationPlan& plan, const Target& target) {
  Placement placement = empty_placement(target);
  for (const QuantizationPlan::Entry& entry : plan.entries) {
    if (!entry.node->is_call()) continue;
    const std::string why = octet::is_annotated(*entry.node) ? "" : entry.reason;
    placement.operators.push_back(row_of(annotated, *entry.node, why));
  }
  return placement;
}

Placement place_by_grids(const GraphModule& quantized, const Target& target) {
  Placement placement = empty_placement(target);
  std::map<std::string, QuantRow> rows;
  for (QuantRow& row : quantization_rows(quantized)) rows.emplace(row.name, std::move(row));
  std::unordered_set<const Node*> in_integers;
  for (const Node* node : quantized.graph().nodes()) {
    if (!is_operator(*node) || node->is(Trait::kDecomposed)) continue;
    const std::vector<Node*> inputs = node->inputs();
    const bool after = !inputs.empty() && in_integers.count(inputs.front()) > 0;
    const bool quantizes = is_quantized(rows.at(node->name()), after);
    if (quantizes) in_integers.insert(node);
    placement.operators.push_back(row_of(quantized, *node, quantizes ? "" : "it computes in float in this file"));
  }
  return placement;
}

}  // namespace octet::targets
