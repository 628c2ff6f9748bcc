#include "octet/report/check_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "octet/report/numbers.h"
#include "octet/report/table.h"
#include "octet/support/error.h"
#include "octet/targets/engine/weigh_settings.h"

namespace octet::report {
namespace {

using targets::Check;
using targets::MemoryEstimate;
using targets::OperatorPlacement;

nlohmann::ordered_json memory_json(const MemoryEstimate& memory) {
  if (!memory.is_known()) return {{"missing", memory.missing}};
  nlohmann::ordered_json json = {{"arena_bytes", memory.arena_bytes},
                                 {"peak_bytes", memory.peak_bytes},
                                 {"constant_bytes", memory.constant_bytes},
                                 {"on_chip_bytes", memory.on_chip_bytes},
                                 {"fits", memory.fits()},
                                 {"peak_at", memory.peak_at}};
  json["at_peak"] = nlohmann::ordered_json::array();
  for (const MemoryEstimate::Tensor& each : memory.at_peak) {
    json["at_peak"].push_back({{"name", each.name}, {"shape", each.shape}, {"bytes", each.bytes}});
  }
  return json;
}

std::string memory_text(const MemoryEstimate& memory) {
  if (!memory.is_known()) return "memory: no estimate, for the program cannot be written: " + memory.missing + '\n';
  std::string text = octet::str("memory, estimated: arena ", bytes_text(memory.arena_bytes));
  if (memory.on_chip_bytes > 0) {
    text += octet::str(" of ", bytes_text(memory.on_chip_bytes), " on the chip");
  }
  text += octet::str(", constants ", bytes_text(memory.constant_bytes), " in flash");
  if (memory.peak_at.empty()) return text + '\n';
  text += octet::str("; most alive at ", memory.peak_at, ": ", bytes_text(memory.peak_bytes));
  constexpr size_t kNamed = 3;
  for (size_t i = 0; i < std::min(kNamed, memory.at_peak.size()); ++i) {
    const MemoryEstimate::Tensor& each = memory.at_peak[i];
    text += octet::str(i > 0 ? ", " : " (", each.name, ' ', shape_text(each.shape));
  }
  return text + (memory.at_peak.empty() ? "\n" : ")\n");
}

nlohmann::ordered_json quantized_json(const Check& check, nlohmann::ordered_json json) {
  json["input_sizes"] = check.input_sizes;
  json["calibrated"] = check.scales_known;
  json["nodes"] = nlohmann::ordered_json::array();
  for (const OperatorPlacement& row : check.placement.operators) {
    json["nodes"].push_back({{"op", row.op},
                             {"name", row.name},
                             {"quantized", row.partition.has_value()},
                             {"reason", row.reason},
                             {"macs", row.macs},
                             {"bytes", row.bytes}});
  }
  json["macs"] = {{"quantized", check.placement.npu_macs()}, {"all", check.placement.macs()}};
  json["warnings"] = warnings_json(check.warnings);
  return json;
}

nlohmann::ordered_json size_json(const SizeCheck& size, const std::string& target) {
  nlohmann::ordered_json json;
  json["target"] = target;
  if (!size.check) {
    json["input_size"] = size.size;
    json["error"] = size.error;
    return json;
  }
  const targets::Placement& placement = size.check->placement;
  if (placement.by_patterns) return quantized_json(*size.check, std::move(json));
  json["partitions"] = placement.partitions;
  json["input_sizes"] = size.check->input_sizes;
  json["calibrated"] = size.check->scales_known;
  json["nodes"] = nlohmann::ordered_json::array();
  for (const OperatorPlacement& row : placement.operators) {
    nlohmann::ordered_json node;
    node["op"] = row.op;
    node["name"] = row.name;
    node["npu"] = row.partition ? nlohmann::ordered_json(*row.partition) : nlohmann::ordered_json(nullptr);
    node["reason"] = row.reason;
    node["way_out"] = row.way_out;
    node["conditions"] = row.conditions;
    node["macs"] = row.macs;
    node["bytes"] = row.bytes;
    json["nodes"].push_back(std::move(node));
  }
  json["macs"] = {{"npu", placement.npu_macs()}, {"all", placement.macs()}};
  json["bytes"] = {{"npu", placement.npu_bytes()}, {"all", placement.bytes()}};
  json["transitions"] = nlohmann::ordered_json::array();
  for (const targets::Transition& each : placement.transitions) {
    json["transitions"].push_back({{"from", each.from}, {"to", each.to}});
  }
  json["memory"] = memory_json(size.check->memory);
  json["warnings"] = warnings_json(size.check->warnings);
  return json;
}

std::string shapes_text(const Check& check) {
  std::string sizes;
  for (const auto& each : check.input_sizes) sizes += (sizes.empty() ? "" : ", ") + shape_text(each);
  return sizes;
}

std::string warnings_text(const Check& check) {
  std::string text;
  for (const targets::Warning& each : check.warnings) text += octet::str("warning: ", targets::text(each), '\n');
  return text;
}

// What is quantized, and why the rest is not: of targets that place nothing.
std::string quantized_text(const Check& check) {
  const targets::Placement& placement = check.placement;
  const auto all = static_cast<int64_t>(placement.operators.size());
  Table table({"computes in", "op", "name", "why in float"});
  for (const OperatorPlacement& row : placement.operators) {
    table.row({row.partition ? "integers" : "float", row.op, row.name, row.reason});
  }
  return octet::str(table.text(), "\ninput ", shapes_text(check), ", ", placement.target, ": ",
                    count_text(all - placement.on_cpu(), "operator"), " quantized, ", placement.on_cpu(),
                    " in float\nquantized: ", share_text(placement.npu_macs(), placement.macs()), " of ",
                    fixed(static_cast<double>(placement.macs()) / 1e6, 2), " million multiply-accumulates\n",
                    warnings_text(check));
}

std::string one_size_text(const Check& check) {
  const targets::Placement& placement = check.placement;
  if (placement.by_patterns) return quantized_text(check);
  const auto all = static_cast<int64_t>(placement.operators.size());
  Table table({"runs on", "op", "name", "why not the NPU"});
  for (const OperatorPlacement& row : placement.operators) {
    const std::string place = row.partition ? octet::str("NPU ", *row.partition) : "CPU";
    table.row({place, row.op, row.name, row.way_out.empty() ? row.reason : row.reason + "; " + row.way_out});
  }
  std::ostringstream out;
  out << table.text() << '\n'
      << "input " << shapes_text(check) << ", " << placement.target << ": "
      << count_text(all - placement.on_cpu(), "operator") << " on the NPU in "
      << count_text(placement.partitions, "partition") << ", " << placement.on_cpu() << " on the CPU, "
      << count_text(static_cast<int64_t>(placement.transitions.size()), "transition") << " between them\n"
      << "on the NPU: " << share_text(placement.npu_macs(), placement.macs()) << " of "
      << fixed(static_cast<double>(placement.macs()) / 1e6, 2) << " million multiply-accumulates, "
      << share_text(placement.npu_bytes(), placement.bytes()) << " of " << bytes_text(placement.bytes())
      << " of int8 parameters\n"
      << memory_text(check.memory);
  for (const targets::Transition& each : placement.transitions) {
    out << "transition: " << each.from << " -> " << each.to << '\n';
  }
  for (const OperatorPlacement& row : placement.operators) {
    for (const std::string& condition : row.conditions) {
      out << "condition: [" << row.where << "] " << condition << " (calibration will tell)\n";
    }
  }
  out << warnings_text(check);
  return out.str();
}

// Of targets that place nothing.
std::string quantized_sizes_text(const std::vector<SizeCheck>& sizes) {
  Table table({"input size", "quantized", "in float", "MACs quantized", "first in float"});
  for (const SizeCheck& size : sizes) {
    if (!size.check) {
      table.row({size.size, "-", "-", "-", "does not run: " + size.error});
      continue;
    }
    const targets::Placement& placement = size.check->placement;
    const auto all = static_cast<int64_t>(placement.operators.size());
    const auto first = std::find_if(placement.operators.begin(), placement.operators.end(),
                                    [](const OperatorPlacement& row) { return !row.partition; });
    table.row({size.size, std::to_string(all - placement.on_cpu()), std::to_string(placement.on_cpu()),
               share_text(placement.npu_macs(), placement.macs()),
               first != placement.operators.end() ? first->reason : ""});
  }
  return table.text();
}

std::string sizes_text(const std::vector<SizeCheck>& sizes) {
  const bool by_patterns = std::any_of(sizes.begin(), sizes.end(), [](const SizeCheck& size) {
    return size.check && size.check->placement.by_patterns;
  });
  if (by_patterns) return quantized_sizes_text(sizes);
  Table table({"input size", "partitions", "on the NPU", "on the CPU", "MACs on the NPU", "arena", "fits the chip",
               "first on the CPU"});
  for (const SizeCheck& size : sizes) {
    if (!size.check) {
      table.row({size.size, "-", "-", "-", "-", "-", "-", "does not run: " + size.error});
      continue;
    }
    const targets::Placement& placement = size.check->placement;
    const auto all = static_cast<int64_t>(placement.operators.size());
    const MemoryEstimate& memory = size.check->memory;
    const auto first = std::find_if(placement.operators.begin(), placement.operators.end(),
                                    [](const OperatorPlacement& row) { return !row.partition; });
    table.row({size.size, std::to_string(placement.partitions), std::to_string(all - placement.on_cpu()),
               std::to_string(placement.on_cpu()), share_text(placement.npu_macs(), placement.macs()),
               memory.is_known() ? bytes_text(memory.arena_bytes) : "-",
               memory.is_known() && memory.on_chip_bytes > 0 ? (memory.fits() ? "yes" : "no") : "-",
               first != placement.operators.end() ? first->reason : ""});
  }
  return table.text();
}

std::string weighed_text(const CheckReport::Weighed& weighed) {
  const targets::Placement& exact = weighed.exact.placement;
  return octet::str("condition: with ", weighed.flags, ", which octet quantize takes where they cost ",
                    fixed(targets::kMostLossDb, 0), " dB at most (calibration will tell); else ",
                    count_text(exact.partitions, "partition"), ", ", exact.on_cpu(), " on the CPU\n");
}

}  // namespace

nlohmann::ordered_json warnings_json(const std::vector<targets::Warning>& warnings) {
  auto array = nlohmann::ordered_json::array();
  for (const targets::Warning& each : warnings) {
    array.push_back({{"where", each.where}, {"text", each.text}, {"way_out", each.way_out}});
  }
  return array;
}

std::string CheckReport::text() const {
  std::string as_it_is = sizes.size() == 1 && sizes[0].check ? one_size_text(*sizes[0].check) : sizes_text(sizes);
  if (weighed) as_it_is += weighed_text(*weighed);
  if (!quantized) return as_it_is;
  return octet::str(as_it_is, "\nAs it is, the file computes in float. What octet quantize would make of it:\n",
                    one_size_text(*quantized));
}

nlohmann::ordered_json CheckReport::json() const {
  auto array = nlohmann::ordered_json::array();
  for (const SizeCheck& size : sizes) array.push_back(size_json(size, target));
  if (quantized && array.size() == 1) array[0]["quantized"] = size_json({"", quantized, ""}, target);
  if (weighed && array.size() == 1) {
    const targets::Placement& exact = weighed->exact.placement;
    array[0]["weighed"] = {{"flags", weighed->flags},
                           {"else", {{"partitions", exact.partitions}, {"on_cpu", exact.on_cpu()}}}};
  }
  return array.size() == 1 ? array[0] : array;
}

}  // namespace octet::report
