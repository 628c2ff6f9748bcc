#include "octet/quantize/rows.h"

#include <nlohmann/json.hpp>

#include "octet/formats/dtype.h"
#include "octet/graph/match.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"

namespace octet {
namespace {

bool is_element(const Node& node) { return node.kind() == NodeKind::kGetItem; }

// The first quantize that reads the value, elements of tuples looked through; nullptr where none does.
const Node* quantize_behind(const Node& value) {
  for (const Node* reader : readers_through(value, is_element)) {
    if (reader->is(Trait::kQuantize)) return reader;
  }
  return nullptr;
}

std::optional<QuantRecord> record_behind(const GraphModule& module, const Node& value) {
  const Node* quantize = quantize_behind(value);
  return quantize != nullptr ? std::optional(grid_at(module, *quantize)) : std::nullopt;
}

// Output, or outputs where the elements of the result are read one by one, and what a consumer makes of it.
void fill_results(const GraphModule& module, const Node& node, QuantRow& row) {
  std::vector<const Node*> elements;
  for (const Node* reader : node.users()) {
    if (is_element(*reader)) elements.push_back(reader);
  }
  if (!elements.empty() && !node.is(Trait::kGivesTuple)) {
    for (const Node* element : elements) row.outputs.push_back(record_behind(module, *element));
    if (std::none_of(row.outputs.begin(), row.outputs.end(), [](const auto& found) { return found.has_value(); })) {
      row.outputs.clear();
    }
    return;
  }
  const Node* quantize = quantize_behind(node);
  if (quantize == nullptr) return;
  row.output = grid_at(module, *quantize);
  for (const Node* dequantize : quantize->users()) {
    if (!dequantize->is(Trait::kDequantize)) continue;
    for (const Node* reader : dequantize->users()) {
      if (reader->is(Trait::kQuantize)) row.then.push_back(grid_at(module, *reader));
    }
  }
}

nlohmann::ordered_json to_json(const std::optional<QuantRecord>& found) {
  if (!found) return nullptr;
  nlohmann::ordered_json json;
  if (!found->dynamic.empty()) {
    json["dynamic"] = found->dynamic;
    if (!found->mapping.empty()) json["mapping"] = found->mapping;
  } else {
    json["scale"] = found->scale;
    json["zero_point"] = found->zero_point;
    if (found->axis) json["axis"] = *found->axis;
  }
  if (!found->block_size.empty()) json["block_size"] = found->block_size;
  json["quant_min"] = found->quant_min;
  json["quant_max"] = found->quant_max;
  if (found->eps) json["eps"] = *found->eps;
  json["dtype"] = found->dtype;
  return json;
}

std::optional<QuantRecord> record_from_json(const nlohmann::ordered_json& json) {
  if (json.is_null()) return std::nullopt;
  QuantRecord found;
  if (json.contains("dynamic")) {
    found.dynamic = json.at("dynamic").get<std::string>();
    found.mapping = json.value("mapping", "");
  } else {
    found.scale = json.at("scale").get<std::vector<double>>();
    found.zero_point = json.at("zero_point").get<std::vector<int64_t>>();
  }
  if (json.contains("eps")) found.eps = json.at("eps").get<double>();
  if (json.contains("axis")) found.axis = json.at("axis").get<int64_t>();
  if (json.contains("block_size")) found.block_size = json.at("block_size").get<std::vector<int64_t>>();
  found.quant_min = json.at("quant_min").get<int64_t>();
  found.quant_max = json.at("quant_max").get<int64_t>();
  found.dtype = json.at("dtype").get<std::string>();
  return found;
}

}  // namespace

std::vector<QuantRow> quantization_rows(const GraphModule& module) {
  std::vector<QuantRow> rows;
  for (const Node* node : module.graph().nodes()) {
    if (node->is(Trait::kDecomposed)) continue;
    if (node->kind() == NodeKind::kPlaceholder) {
      rows.push_back({"input", node->name(), {}, std::nullopt});
      fill_results(module, *node, rows.back());
      continue;
    }
    std::string op = node->target();
    if (node->kind() == NodeKind::kCallModule) {
      const auto callable = module.callable(node->target());
      if (dynamic_cast<const ObserverBase*>(callable.get()) != nullptr) continue;
      if (const auto* simulated = dynamic_cast<const QatConvBn*>(callable.get())) op = simulated->op().text();
    } else if (!node->is_call()) {
      continue;
    }
    QuantRow row{op, node->name(), {}, std::nullopt};
    fill_results(module, *node, row);
    // A simulated conv-bn stands for its convolution: input, weight and bias.
    const size_t count = node->is_call() ? node->args().size() : std::min<size_t>(node->args().size(), 3);
    for (size_t i = 0; i < count; ++i) {
      node->arg(i).for_each_node([&](const Node* input) {
        row.inputs.push_back(input->is(Trait::kDequantize) ? std::optional(grid_at(module, *input)) : std::nullopt);
      });
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

nlohmann::ordered_json to_json(const std::vector<QuantRow>& rows) {
  auto array = nlohmann::ordered_json::array();
  for (const QuantRow& row : rows) {
    nlohmann::ordered_json json;
    json["op"] = row.op;
    json["inputs"] = nlohmann::ordered_json::array();
    for (const auto& input : row.inputs) json["inputs"].push_back(to_json(input));
    json["output"] = to_json(row.output);
    if (!row.outputs.empty()) {
      json["outputs"] = nlohmann::ordered_json::array();
      for (const auto& output : row.outputs) json["outputs"].push_back(to_json(output));
    }
    for (const QuantRecord& grid : row.then) json["then"].push_back(to_json(std::optional(grid)));
    array.push_back(std::move(json));
  }
  return array;
}

std::string rows_text(const std::vector<QuantRow>& rows) {
  std::string text = "[";
  const nlohmann::ordered_json array = to_json(rows);
  for (size_t i = 0; i < array.size(); ++i) text += (i > 0 ? ",\n" : "\n") + json_text(array[i]);
  return text + "\n]";
}

std::vector<QuantRow> rows_from_json(const nlohmann::ordered_json& array) {
  std::vector<QuantRow> rows;
  try {
    for (const auto& json : array) {
      QuantRow row;
      row.op = json.at("op").get<std::string>();
      for (const auto& input : json.at("inputs")) row.inputs.push_back(record_from_json(input));
      row.output = record_from_json(json.at("output"));
      if (json.contains("outputs")) {
        for (const auto& output : json.at("outputs")) row.outputs.push_back(record_from_json(output));
      }
      if (json.contains("then")) {
        for (const auto& grid : json.at("then"))
          if (auto found = record_from_json(grid)) row.then.push_back(std::move(*found));
      }
      rows.push_back(std::move(row));
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(octet::str("row ", rows.size()), error.what());
  }
  return rows;
}

}  // namespace octet
