#include "octet/report/node_data.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace octet::report {
namespace {

using nlohmann::ordered_json;

// What Model Explorer calls the graph of a .tflite that octet has written, and that of any .pt2.
constexpr const char* kGraphs[] = {"main", "graph"};

ordered_json for_both(const ordered_json& data) {
  ordered_json all;
  for (const char* graph : kGraphs) all[graph] = data;
  return all;
}

ordered_json up_to(double value, const char* background, const char* text) {
  return {{"value", value}, {"bgColor", background}, {"textColor", text}};
}

}  // namespace

ordered_json noise_node_data(const Comparison& comparison) {
  ordered_json data;
  data["name"] = "SQNR in dB";
  data["results"] = ordered_json::object();
  for (const LayerComparison& layer : comparison.layers) {
    if (std::isnan(layer.sqnr_db)) continue;
    data["results"][layer.name] = {{"value", std::min(layer.sqnr_db, kEqualDb)}};
  }
  data["thresholds"] = {up_to(10, "#b3261e", "white"), up_to(20, "#e8710a", "white"), up_to(30, "#f9ab00", "black"),
                        up_to(kEqualDb, "#188038", "white")};
  return for_both(data);
}

ordered_json placement_node_data(const targets::Placement& placement) {
  const char* inside = placement.by_patterns ? "quantized" : "NPU";
  const char* outside = placement.by_patterns ? "float" : "CPU";
  ordered_json data;
  data["name"] = "Placement on " + placement.target;
  data["results"] = ordered_json::object();
  for (const targets::OperatorPlacement& each : placement.operators) {
    const bool is_inside = each.partition.has_value();
    data["results"][each.name] = {{"value", is_inside ? inside : outside},
                                  {"bgColor", is_inside ? "#188038" : "#b3261e"},
                                  {"textColor", "white"}};
  }
  data["showExpandedSummaryOnGroupNode"] = true;
  return for_both(data);
}

}  // namespace octet::report
