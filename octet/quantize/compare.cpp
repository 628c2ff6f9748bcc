#include "octet/quantize/compare.h"

#include <ATen/core/grad_mode.h>

#include "octet/quantize/observer.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"

namespace octet {
namespace {

bool is_operator(const GraphModule& module, const Node& node) {
  if (node.kind() == NodeKind::kCallModule) {
    return dynamic_cast<const ObserverBase*>(module.callable(node.target()).get()) == nullptr;
  }
  return node.is_call() && !node.is(Trait::kDecomposed);
}

// The value as its readers see it: behind an observer, or a quantize and dequantize, that is all that reads it.
const Node* as_read(const GraphModule& module, const Node* node) {
  const Node* current = node;
  for (int step = 0; step < 2; ++step) {
    const auto users = current->users();
    if (users.empty()) return current;
    for (const Node* user : users) {
      if (is_operator(module, *user) || user->kind() == NodeKind::kOutput) return current;
    }
    current = users.front();
    if (!current->is(Trait::kQuantize)) return current;
  }
  return node;
}

}  // namespace

std::string float_name(const Node& node) {
  const std::string* note = node.notes().find(kFloatNameNote);
  return note == nullptr ? node.name() : *note;
}

FloatNodes::FloatNodes(const GraphModule& float_model) : model_(float_model) {
  for (const Node* node : float_model.graph().nodes()) {
    if (const std::string* note = node->notes().find(kFloatNameNote)) noted_[*note] = node;
  }
}

const Node* FloatNodes::of(const Node& node) const {
  const std::string name = node.kind() == NodeKind::kPlaceholder ? node.name() : float_name(node);
  // A part of a node may keep its name: the one that stands for the whole says so.
  const auto found = noted_.find(name);
  return found != noted_.end() ? found->second : model_.graph().find(name);
}

Comparison compare_models(GraphModule& float_model, GraphModule& quantized_model,
                          const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  // Observers of a prepared model would go on watching: a copy's may.
  const std::shared_ptr<GraphModule> copy = quantized_model.callable_names().empty() ? nullptr : quantized_model.copy();
  GraphModule& quantized = copy ? *copy : quantized_model;
  struct Watched {
    const Node* node;
    const Node* source;  // in the float model
  };
  std::map<const Node*, std::vector<Watched>> watched;  // by the node that gives the compared value
  std::map<const Node*, at::Tensor> references;
  const FloatNodes sources(float_model);
  for (const Node* node : quantized.graph().nodes()) {
    if (!is_operator(quantized, *node)) continue;
    const Node* source = sources.of(*node);
    if (source == nullptr || source->kind() == NodeKind::kPlaceholder) continue;
    watched[as_read(quantized, node)].push_back({node, source});
    references[source] = at::Tensor();
  }

  const std::vector<at::Tensor> expected_results =
      float_model.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
        const auto found = references.find(&node);
        if (found != references.end() && value.isTensor()) found->second = value.toTensor().detach().clone();
      });
  Comparison comparison;
  const std::vector<at::Tensor> results = quantized.run_observed(inputs, [&](const Node& node,
                                                                             const c10::IValue& value) {
    const auto found = watched.find(&node);
    if (found == watched.end() || !value.isTensor()) return;
    for (const Watched& entry : found->second) {
      const at::Tensor& reference = references.at(entry.source);
      const at::Tensor got = value.toTensor().detach();
      if (!reference.defined() || reference.sizes() != got.sizes() || !reference.is_floating_point()) continue;
      const std::string op = entry.node->is_call() ? entry.node->op().text() : entry.node->target();
      const double sqnr = compute_error(reference, got.to(reference.dtype()));
      comparison.layers.push_back({entry.node->name(), entry.source->name(), op, sqnr, count_infinities(reference)});
    }
  });
  if (results.size() != expected_results.size()) {
    throw expected("compare", "results", std::to_string(expected_results.size()), std::to_string(results.size()));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].sizes() != expected_results[i].sizes()) {
      throw expected("compare", octet::str("shape of result ", i), octet::str(expected_results[i].sizes()),
                     octet::str(results[i].sizes()));
    }
    comparison.output_sqnr_db.push_back(compute_error(expected_results[i], results[i]));
    comparison.output_infinities.push_back(count_infinities(expected_results[i]));
  }
  std::stable_sort(comparison.layers.begin(), comparison.layers.end(),
                   [](const LayerComparison& a, const LayerComparison& b) { return a.sqnr_db < b.sqnr_db; });
  return comparison;
}

}  // namespace octet
