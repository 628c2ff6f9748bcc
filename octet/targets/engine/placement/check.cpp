#include "octet/targets/engine/placement/check.h"

#include <ATen/core/grad_mode.h>

#include "octet/graph/constant_value.h"
#include "octet/lowering/program_graph.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/targets/engine/placement/operator_view.h"
#include "octet/targets/engine/placement/plan_placement.h"

namespace octet::targets {
namespace {

std::vector<at::Tensor> inputs_of(const GraphModule& module, const std::vector<std::vector<int64_t>>& sizes) {
  if (sizes.empty()) return example_inputs(module);
  const std::vector<Node*> placeholders = module.graph().placeholders();
  if (placeholders.size() != sizes.size()) {
    throw expected("check", "input sizes", octet::str("one for each of ", placeholders.size(), " inputs"),
                   std::to_string(sizes.size()));
  }
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const auto dtype = placeholders[i]->meta() ? placeholders[i]->meta()->dtype : at::kFloat;
    inputs.push_back(at::zeros(sizes[i], at::TensorOptions(dtype)));
  }
  return inputs;
}

// True for the graph of a .tflite, which is placed as it is: what it computes in float stays so.
bool is_of_program(const GraphModule& model) {
  const std::vector<Node*> nodes = model.graph().nodes();
  return std::any_of(nodes.begin(), nodes.end(), [](const Node* node) { return node->notes().contains(kInFloatNote); });
}

// Gives every observer of a prepared model a range of its own, no two alike, and weights their real one.
void stand_in_for_calibration(GraphModule& prepared) {
  const at::NoGradGuard no_grad;
  int64_t number = 0;
  for (const Node* node : prepared.graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    auto* observer = dynamic_cast<ObserverBase*>(prepared.callable(node->target()).get());
    if (observer == nullptr) continue;
    const Node* source = node->args().at(0).node();
    at::Tensor values;
    if (source != nullptr) values = constant_value(prepared, *source);
    if (!values.defined() && observer->is_per_channel() && source != nullptr && source->meta()) {
      values = at::randn(source->meta()->sizes);
    }
    if (!values.defined()) {
      const float reach = 1.0F + 0.01F * static_cast<float>(++number);
      values = at::tensor({-reach, reach});
    }
    observer->forward(values);
  }
}

}  // namespace

Check check_model(const GraphModule& model, TableQuantizer& quantizer,
                  const std::vector<std::vector<int64_t>>& input_sizes) {
  const at::NoGradGuard no_grad;
  Check result;
  std::shared_ptr<GraphModule> program = model.copy();
  const std::vector<at::Tensor> inputs = inputs_of(model, input_sizes);
  for (const at::Tensor& input : inputs) result.input_sizes.push_back(input.sizes().vec());
  result.scales_known = is_quantized(model) || is_of_program(model);
  program->eval();
  propagate_shapes(*program, inputs);
  const bool by_patterns = static_cast<bool>(quantizer.target().patterns);
  if (by_patterns && !result.scales_known) {
    const TableQuantizer::Explanation explanation = quantizer.explain(*program);
    result.placement = place_by_plan(*explanation.model, explanation.plan, quantizer.target());
  }
  if (!result.scales_known) {
    program = prepare(std::move(program), quantizer);
    stand_in_for_calibration(*program);
    program = convert_pt2e(std::move(program));
    propagate_shapes(*program, inputs);
  }
  if (by_patterns) {
    if (result.scales_known) result.placement = place_by_grids(*program, quantizer.target());
    result.warnings = find_warnings(*program, quantizer.target(), result.scales_known);
    return result;
  }
  result.placement = place(*program, quantizer.target(), result.scales_known);
  result.warnings = find_warnings(*program, quantizer.target(), result.scales_known);
  result.memory = estimate_memory(*program, quantizer.target());
  for (Warning& each : memory_warnings(result.memory, quantizer.target())) result.warnings.push_back(std::move(each));
  return result;
}

}  // namespace octet::targets
