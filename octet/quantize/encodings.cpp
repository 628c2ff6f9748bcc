#include "octet/quantize/encodings.h"

#include <nlohmann/json.hpp>

#include "octet/graph/constant_value.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr int kSchemaVersion = 1;

nlohmann::ordered_json entry(const std::string& tensor, const std::string& kind, const std::vector<int64_t>& shape,
                             const QuantRecord& grid) {
  nlohmann::ordered_json json;
  json["tensor"] = tensor;
  json["kind"] = kind;
  json["shape"] = shape;
  json["dtype"] = grid.dtype;
  json["scale"] = grid.scale;
  json["zero_point"] = grid.zero_point;
  json["axis"] = grid.axis ? nlohmann::ordered_json(*grid.axis) : nlohmann::ordered_json(nullptr);
  json["quant_min"] = grid.quant_min;
  json["quant_max"] = grid.quant_max;
  json["min"] = nlohmann::ordered_json::array();
  json["max"] = nlohmann::ordered_json::array();
  for (size_t c = 0; c < grid.scale.size(); ++c) {
    const auto zero_point = c < grid.zero_point.size() ? grid.zero_point[c] : 0;
    json["min"].push_back(static_cast<double>(grid.quant_min - zero_point) * grid.scale[c]);
    json["max"].push_back(static_cast<double>(grid.quant_max - zero_point) * grid.scale[c]);
  }
  return json;
}

std::vector<int64_t> sizes_of(const Node& node) { return node.meta() ? node.meta()->sizes : std::vector<int64_t>{}; }

}  // namespace

nlohmann::ordered_json encodings(const GraphModule& converted) {
  nlohmann::ordered_json json;
  json["version"] = kSchemaVersion;
  json["encodings"] = nlohmann::ordered_json::array();
  for (const Node* node : converted.graph().nodes()) {
    if (is_quantize_op(*node)) {
      const Node& source = *node->arg(size_t{0}).node();
      const std::string kind = source.kind() == NodeKind::kPlaceholder ? "input" : "activation";
      json["encodings"].push_back(entry(source.name(), kind, sizes_of(source), grid_at(converted, *node)));
      continue;
    }
    if (!is_operator(*node)) continue;
    for (size_t i = 0; i < node->args().size(); ++i) {
      const Node* constant = node->arg(i).node();
      if (constant == nullptr || !is_dequantize_op(*constant) || !is_constant_value(*constant)) continue;
      const std::string& argument = node->op().schema().arguments()[i].name();
      json["encodings"].push_back(
          entry(node->name() + "." + argument, "constant", sizes_of(*constant), grid_at(converted, *constant)));
    }
  }
  if (json["encodings"].empty()) throw Error("encodings", "the program holds no quantize nodes");
  return json;
}

}  // namespace octet
