#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/inspect_tflite.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"
#include "octet/formats/dtype.h"
#include "octet/formats/tflite.h"
#include "octet/lowering/stats.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

nlohmann::ordered_json value_json(const Node& node) {
  nlohmann::ordered_json json = {{"name", node.name()}};
  if (node.meta()) {
    json["dtype"] = dtype_name(node.meta()->dtype);
    json["shape"] = node.meta()->sizes;
  }
  return json;
}

std::string value_text(const Node& node) {
  if (!node.meta()) return node.name() + ": shape not known";
  return octet::str(node.name(), ": ", dtype_name(node.meta()->dtype), " [", join(", ", node.meta()->sizes), "]");
}

std::vector<const Node*> results(const GraphModule& module) {
  std::vector<const Node*> nodes;
  for (const Arg& arg : module.graph().output()->args()[0].list()) {
    if (arg.is_node()) nodes.push_back(arg.node());
  }
  return nodes;
}

void print_facts_json(const GraphModule& module, const ModelStats& stats) {
  nlohmann::ordered_json json;
  json["facts"] = module.facts();
  json["inputs"] = nlohmann::ordered_json::array();
  for (const Node* node : module.graph().placeholders()) json["inputs"].push_back(value_json(*node));
  json["outputs"] = nlohmann::ordered_json::array();
  for (const Node* node : results(module)) json["outputs"].push_back(value_json(*node));
  json["parameters"] = stats.parameters;
  json["bytes"] = stats.parameter_bytes + stats.buffer_bytes;
  json["macs"] = stats.macs;
  json["ops"] = stats.op_counts;
  std::cout << json.dump(2) << '\n';
}

void print_facts(const GraphModule& module, const ModelStats& stats) {
  for (const auto& [key, value] : module.facts()) std::cout << key << ": " << value << '\n';
  for (const Node* node : module.graph().placeholders()) std::cout << "input   " << value_text(*node) << '\n';
  for (const Node* node : results(module)) std::cout << "output  " << value_text(*node) << '\n';
  std::cout << "parameters " << stats.parameters << ", stored in "
            << bytes_text(stats.parameter_bytes + stats.buffer_bytes) << "; "
            << fixed(static_cast<double>(stats.macs) / 1e6, 2) << " million multiply-accumulates\n\n";
  Table table({"count", "op"});
  for (const auto& [op, count] : stats.op_counts) table.row({std::to_string(count), op});
  std::cout << table.text();
}

std::string grid_text(const std::optional<QuantRecord>& grid) {
  if (!grid) return "-";
  const auto [low, high] = std::minmax_element(grid->scale.begin(), grid->scale.end());
  std::ostringstream out;
  out.precision(5);
  out << grid->dtype << ' ' << *low;
  if (grid->scale.size() > 1) {
    out << ".." << *high << " axis " << grid->axis.value_or(0);
  } else {
    out << " zp " << grid->zero_point.at(0);
  }
  return out.str();
}

void print_rows(const std::vector<QuantRow>& rows) {
  Table table({"op", "name", "inputs", "output"});
  for (const QuantRow& row : rows) {
    std::string inputs;
    for (const auto& input : row.inputs) inputs += (inputs.empty() ? "" : " | ") + grid_text(input);
    table.row({row.op, row.name, inputs, grid_text(row.output)});
  }
  std::cout << '\n' << table.text();
}

}  // namespace

void inspect(const InspectArguments& arguments) {
  if (tflite::is_tflite(arguments.model.path)) {
    if (arguments.graph)
      throw Error(arguments.model.path, "--graph is for models that hold a graph; a .tflite holds operators");
    return inspect_tflite(arguments.model.path, arguments.json);
  }
  const auto module = open_model(arguments.model);
  const bool quantized = is_quantized(*module);
  if (arguments.graph) {
    std::cout << module->graph().table();
  } else if (arguments.json && quantized) {
    std::cout << rows_text(quantization_rows(*module)) << '\n';
  } else if (arguments.json) {
    print_facts_json(*module, model_stats(*module));
  } else {
    print_facts(*module, model_stats(*module));
    if (quantized) print_rows(quantization_rows(*module));
  }
}

}  // namespace octet::cli
