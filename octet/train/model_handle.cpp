#include "octet/train/model_handle.h"

#include "octet/graph/memory_order.h"
#include "octet/quantize/codec.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using State = std::map<std::string, at::Tensor>;

// Names of a submodule's buffers stand behind its own: "observer_0/min_val".
constexpr char kBehindSubmodule = '/';

State attributes(const GraphModule& graph) {
  State all;
  for (const std::string& name : graph.attr_names()) all.emplace(name, graph.attr(name));
  return all;
}

State graph_state(const GraphModule& graph) {
  State all = attributes(graph);
  for (const std::string& name : graph.callable_names()) {
    for (const auto& [buffer, value] : named_state(*graph.callable(name)))
      all.emplace(name + kBehindSubmodule + buffer, value);
  }
  return all;
}

void load_graph_state(GraphModule& graph, const State& state, const std::string& where) {
  State own;
  std::map<std::string, State> of_submodules;
  for (const std::string& name : graph.callable_names()) of_submodules[name];
  for (const auto& [name, value] : state) {
    const size_t slash = name.find(kBehindSubmodule);
    if (slash == std::string::npos) {
      own.emplace(name, value);
    } else {
      const auto submodule = of_submodules.find(name.substr(0, slash));
      if (submodule == of_submodules.end()) {
        throw Error(where, octet::str("the model has no submodule '", name.substr(0, slash), "'"));
      }
      submodule->second.emplace(name.substr(slash + 1), value);
    }
  }
  copy_by_name(own, attributes(graph), where);
  for (const auto& [name, values] : of_submodules)
    octet::load_state(*graph.callable(name), values, octet::str(where, ": ", name));
}

// "NaN", "an infinite number", or nothing.
std::string flaw(const at::Tensor& value) {
  if (!value.defined() || !value.is_floating_point()) return "";
  if (at::isnan(value).any().item<bool>()) return "NaN";
  return at::isinf(value).any().item<bool>() ? "an infinite number" : "";
}

std::string first_flaw(GraphModule& graph, const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  std::string found;
  const auto look = [&](const Node& node, const c10::IValue& value) {
    if (!found.empty() || !value.isTensor()) return;
    const std::string what = flaw(value.toTensor());
    if (what.empty()) return;
    const std::string where =
        node.is_get_attr() ? octet::str("[", node.target(), "]") : octet::str("[", node.where(), "]");
    found = octet::str(where, node.is_call() || node.kind() == NodeKind::kCallModule ? " gives " : " holds ", what);
  };
  graph.run_observed(inputs, look);
  return found;
}

}  // namespace

void copy_by_name(const State& values, const State& into, const std::string& where) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, tensor] : into) {
    const auto found = values.find(name);
    if (found == values.end()) throw Error(where, octet::str("'", name, "' of the model is missing"));
    if (found->second.sizes() != tensor.sizes()) {
      throw expected(where, octet::str("sizes of '", name, "'"), octet::str(tensor.sizes()),
                     octet::str(found->second.sizes()));
    }
    if (found->second.scalar_type() != tensor.scalar_type()) {
      throw expected(where, octet::str("type of '", name, "'"), octet::str(tensor.scalar_type()),
                     octet::str(found->second.scalar_type()));
    }
  }
  for (const auto& [name, value] : values) {
    if (!into.contains(name)) throw Error(where, octet::str("the model has no '", name, "'"));
  }
  for (const auto& [name, tensor] : into) {
    at::Tensor target = tensor;
    target.copy_(values.at(name));
  }
}

State state_of(const ModelHandle& model) {
  if (model.state) return model.state();
  State all;
  for (size_t i = 0; i < model.parameters.size(); ++i) all.emplace(octet::str("parameter ", i), model.parameters[i]);
  return all;
}

void load_state(const ModelHandle& model, const State& state, const std::string& where) {
  if (model.load_state) return model.load_state(state, where);
  copy_by_name(state, state_of(model), where);
}

ModelHandle model_handle(std::shared_ptr<GraphModule> graph) {
  return {[graph](const std::vector<at::Tensor>& inputs) { return graph->run(inputs).at(0); },
          graph->parameters(),
          [graph](bool on) { graph->train(on); },
          [graph] { return graph_state(*graph); },
          [graph](const State& state, const std::string& where) { load_graph_state(*graph, state, where); },
          [graph](const std::vector<at::Tensor>& inputs) { return first_flaw(*graph, inputs); },
          {},
          running_statistics(*graph),
          takes_channels_last(graph->graph()),
          [graph] { return keep_last_batch_alone(*graph); }};
}

}  // namespace octet
