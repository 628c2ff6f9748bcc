#include "octet/quantize/rows.h"

#include <nlohmann/json.hpp>

#include "octet/formats/dtype.h"
#include "octet/graph/match.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// The grid of the first quantize behind the value, elements of tuples looked through.
std::optional<QuantRecord> output_record(const GraphModule& module, const Node& node) {
  const auto is_element = [](const Node& reader) { return reader.kind() == NodeKind::kGetItem; };
  for (const Node* reader : readers_through(node, is_element)) {
    if (reader->is(Trait::kQuantize)) return grid_at(module, *reader);
  }
  return std::nullopt;
}

nlohmann::ordered_json to_json(const std::optional<QuantRecord>& found) {
  if (!found) return nullptr;
  nlohmann::ordered_json json;
  json["scale"] = found->scale;
  json["zero_point"] = found->zero_point;
  if (found->axis) json["axis"] = *found->axis;
  if (!found->block_size.empty()) json["block_size"] = found->block_size;
  json["quant_min"] = found->quant_min;
  json["quant_max"] = found->quant_max;
  json["dtype"] = found->dtype;
  return json;
}

std::optional<QuantRecord> record_from_json(const nlohmann::ordered_json& json) {
  if (json.is_null()) return std::nullopt;
  QuantRecord found;
  found.scale = json.at("scale").get<std::vector<double>>();
  found.zero_point = json.at("zero_point").get<std::vector<int64_t>>();
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
      rows.push_back({"input", node->name(), {}, output_record(module, *node)});
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
    QuantRow row{op, node->name(), {}, output_record(module, *node)};
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
    array.push_back(std::move(json));
  }
  return array;
}

std::string rows_text(const std::vector<QuantRow>& rows) {
  std::string text = "[";
  const nlohmann::ordered_json array = to_json(rows);
  for (size_t i = 0; i < array.size(); ++i) text += (i > 0 ? ",\n" : "\n") + array[i].dump();
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
      rows.push_back(std::move(row));
    }
  } catch (const nlohmann::json::exception& error) {
    throw Error(octet::str("row ", rows.size()), error.what());
  }
  return rows;
}

}  // namespace octet
