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
  nlohmann::ordered_json row;
  row["tensor"] = tensor;
  row["kind"] = kind;
  row["shape"] = shape;
  row["dtype"] = grid.dtype;
  row["scale"] = grid.scale;
  row["zero_point"] = grid.zero_point;
  row["axis"] = grid.axis ? nlohmann::ordered_json(*grid.axis) : nlohmann::ordered_json(nullptr);
  if (!grid.block_size.empty()) row["block_size"] = grid.block_size;
  if (!grid.dynamic.empty()) row["dynamic"] = grid.dynamic;
  row["quant_min"] = grid.quant_min;
  row["quant_max"] = grid.quant_max;
  row["min"] = nlohmann::ordered_json::array();
  row["max"] = nlohmann::ordered_json::array();
  for (size_t c = 0; c < grid.scale.size(); ++c) {
    const auto zero_point = c < grid.zero_point.size() ? grid.zero_point[c] : 0;
    row["min"].push_back(static_cast<double>(grid.quant_min - zero_point) * grid.scale[c]);
    row["max"].push_back(static_cast<double>(grid.quant_max - zero_point) * grid.scale[c]);
  }
  return row;
}

std::vector<int64_t> sizes_of(const Node& node) { return node.meta() ? node.meta()->sizes : std::vector<int64_t>{}; }

}  // namespace

nlohmann::ordered_json encodings(const GraphModule& converted) {
  nlohmann::ordered_json document;
  document["version"] = kSchemaVersion;
  document["encodings"] = nlohmann::ordered_json::array();
  for (const Node* node : converted.graph().nodes()) {
    if (node->is(Trait::kQuantize)) {
      const Node& source = *node->arg(size_t{0}).node();
      const std::string kind = source.kind() == NodeKind::kPlaceholder ? "input" : "activation";
      document["encodings"].push_back(entry(source.name(), kind, sizes_of(source), grid_at(converted, *node)));
      continue;
    }
    if (!is_operator(*node)) continue;
    for (size_t i = 0; i < node->args().size(); ++i) {
      const Node* constant = node->arg(i).node();
      if (constant == nullptr || !constant->is(Trait::kDequantize) || !is_constant_value(*constant)) continue;
      const std::string& argument = node->op().schema().arguments()[i].name();
      document["encodings"].push_back(
          entry(node->name() + "." + argument, "constant", sizes_of(*constant), grid_at(converted, *constant)));
    }
  }
  if (document["encodings"].empty()) throw Error("encodings", "the program holds no quantize nodes");
  return document;
}

}  // namespace octet
