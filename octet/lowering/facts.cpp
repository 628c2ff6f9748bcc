#include "octet/lowering/facts.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "octet/formats/json.h"
#include "octet/lowering/lowering.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"

namespace octet::lowering {
namespace {

using Json = nlohmann::ordered_json;

// "conv2d", or ["conv2d", "features.0.bn"] where passes changed it; ["silu", "", "aten.silu.default"] in float.
Json to_json(const OperatorSource& source) {
  if (!source.op.empty()) return Json::array({source.node, source.model_node, source.op});
  if (source.model_node.empty()) return source.node;
  return Json::array({source.node, source.model_node});
}

std::optional<OperatorSource> operator_source(const nlohmann::json& json) {
  if (json.is_string()) return OperatorSource{json.get<std::string>(), "", ""};
  if (!json.is_array() || json.size() < 2 || json.size() > 3) return std::nullopt;
  if (!std::all_of(json.begin(), json.end(), [](const auto& each) { return each.is_string(); })) return std::nullopt;
  return OperatorSource{json[0].get<std::string>(), json[1].get<std::string>(),
                        json.size() > 2 ? json[2].get<std::string>() : ""};
}

std::optional<ProgramFacts> parse(const nlohmann::json& json, const tflite::Model& model) {
  if (!json.is_object()) return std::nullopt;
  const auto operators = json.find("operators"), tensors = json.find("tensors");
  if (operators == json.end() || !operators->is_array() || operators->size() != model.operators.size() ||
      tensors == json.end() || !tensors->is_array()) {
    return std::nullopt;
  }
  ProgramFacts facts;
  for (const nlohmann::json& each : *operators) {
    const std::optional<OperatorSource> source = operator_source(each);
    if (!source) return std::nullopt;
    facts.operators.push_back(*source);
  }
  facts.tensors.resize(model.tensors.size());
  for (const nlohmann::json& each : *tensors) {
    if (!each.is_array() || each.size() < 2 || !each[0].is_number_unsigned() || !each[1].is_string()) {
      return std::nullopt;
    }
    const auto index = each[0].get<uint64_t>();
    if (index >= facts.tensors.size()) return std::nullopt;
    facts.tensors[index] = {each[1].get<std::string>(), each.size() > 2 && each[2] == "nhwc"};
  }
  return facts;
}

}  // namespace

void set_facts(tflite::Model& model, const ProgramFacts& facts) {
  Json json;
  json["operators"] = Json::array();
  for (const OperatorSource& source : facts.operators) json["operators"].push_back(to_json(source));
  json["tensors"] = Json::array();
  for (size_t i = 0; i < facts.tensors.size(); ++i) {
    const ValueSource& source = facts.tensors[i];
    if (source.node.empty()) continue;
    Json row = {i, source.node};
    if (source.channels_last) row.push_back("nhwc");
    json["tensors"].push_back(std::move(row));
  }
  std::erase_if(model.metadata, [](const auto& entry) { return entry.first == kProgramFacts; });
  model.metadata.emplace_back(kProgramFacts, json_text(json));
}

std::optional<ProgramFacts> facts_of(const tflite::Model& model) {
  for (const auto& [name, text] : model.metadata) {
    if (name != kProgramFacts) continue;
    try {
      return parse(parse_json(text, name), model);
    } catch (const Error&) {  // another's metadata under the same name
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::vector<NodeValue> node_values(const tflite::Model& model, const Graph& graph) {
  std::vector<NodeValue> found(model.tensors.size());
  const std::optional<ProgramFacts> facts = facts_of(model);
  for (size_t i = 0; i < found.size(); ++i) {
    if (!facts) {
      found[i].node = graph.find(model.tensors[i].name);
    } else if (!facts->tensors[i].node.empty()) {
      found[i] = {graph.find(facts->tensors[i].node), facts->tensors[i].channels_last};
    }
  }
  return found;
}

}  // namespace octet::lowering
