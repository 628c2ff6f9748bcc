#include "octet/targets/engine/placement/check.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"
#include "octet/lowering/program_graph.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

using targets::Check;
using targets::OperatorPlacement;
using Sizes = std::vector<std::vector<int64_t>>;

// One --input-size and what came of it.
struct Attempt {
  std::string size;  // as given; empty: the exported one
  std::optional<Check> check;
  std::string error;
};

bool is_full(const std::string& size) { return size.find(',') != std::string::npos; }

int64_t positive(const std::string& digits, const std::string& size) {
  const bool is_number =
      !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || std::stoll(digits) == 0) {
    throw expected("--input-size", "value", "224, 224x160, or 1,3,224,224 (several inputs: joined by +)",
                   "'" + size + "'");
  }
  return std::stoll(digits);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream in(text);
  for (std::string part; std::getline(in, part, separator);) parts.push_back(part);
  if (text.empty() || text.back() == separator) parts.emplace_back();
  return parts;
}

// "224" and "224x160" stand for height and width of every input with four dimensions.
Sizes sizes_for(const GraphModule& model, const std::string& size) {
  Sizes sizes;
  if (is_full(size)) {
    for (const std::string& input : split(size, '+')) sizes.push_back(parse_sizes(input));
    return sizes;
  }
  const std::vector<std::string> sides = split(size, 'x');
  if (sides.size() > 2) positive("", size);
  const int64_t height = positive(sides.front(), size);
  const int64_t width = positive(sides.back(), size);
  for (const Node* input : model.graph().placeholders()) {
    sizes.push_back(input->sizes());
    if (sizes.back().size() != 4) continue;
    sizes.back()[2] = height;
    sizes.back()[3] = width;
  }
  return sizes;
}

nlohmann::ordered_json to_json(const Attempt& attempt, const std::string& target) {
  nlohmann::ordered_json json;
  json["target"] = target;
  if (!attempt.check) {
    json["input_size"] = attempt.size;
    json["error"] = attempt.error;
    return json;
  }
  const targets::Placement& placement = attempt.check->placement;
  json["partitions"] = placement.partitions;
  json["input_sizes"] = attempt.check->input_sizes;
  json["calibrated"] = attempt.check->scales_known;
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
  json["warnings"] = nlohmann::ordered_json::array();
  for (const targets::Warning& each : attempt.check->warnings) {
    json["warnings"].push_back({{"where", each.where}, {"text", each.text}, {"way_out", each.way_out}});
  }
  return json;
}

std::string share(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : fixed(100.0 * static_cast<double>(part) / static_cast<double>(whole), 1) + " %";
}

std::string count(int64_t number, const char* noun) { return octet::str(number, ' ', noun, number == 1 ? "" : "s"); }

std::string sizes_text(const Sizes& sizes) {
  std::string text;
  for (const auto& each : sizes) text += octet::str(text.empty() ? "[" : ", [", join(", ", each), "]");
  return text;
}

void print(const Check& check) {
  const targets::Placement& placement = check.placement;
  const auto all = static_cast<int64_t>(placement.operators.size());
  Table table({"runs on", "op", "name", "why not the NPU"});
  for (const OperatorPlacement& row : placement.operators) {
    const std::string place = row.partition ? octet::str("NPU ", *row.partition) : "CPU";
    table.row({place, row.op, row.name, row.way_out.empty() ? row.reason : row.reason + "; " + row.way_out});
  }
  std::cout << table.text() << '\n'
            << "input " << sizes_text(check.input_sizes) << ", " << placement.target << ": "
            << count(all - placement.on_cpu(), "operator") << " on the NPU in "
            << count(placement.partitions, "partition") << ", " << placement.on_cpu() << " on the CPU, "
            << count(static_cast<int64_t>(placement.transitions.size()), "transition") << " between them\n"
            << "on the NPU: " << share(placement.npu_macs(), placement.macs()) << " of "
            << fixed(static_cast<double>(placement.macs()) / 1e6, 2) << " million multiply-accumulates, "
            << share(placement.npu_bytes(), placement.bytes()) << " of " << bytes_text(placement.bytes())
            << " of int8 parameters\n";
  for (const targets::Transition& each : placement.transitions) {
    std::cout << "transition: " << each.from << " -> " << each.to << '\n';
  }
  for (const OperatorPlacement& row : placement.operators) {
    for (const std::string& condition : row.conditions) {
      std::cout << "condition: [" << row.where << "] " << condition << " (calibration will tell)\n";
    }
  }
  for (const targets::Warning& each : check.warnings) {
    std::cout << "warning: [" << each.where << "] " << each.text;
    if (!each.way_out.empty()) std::cout << "; " << each.way_out;
    std::cout << '\n';
  }
}

void print_sizes(const std::vector<Attempt>& attempts) {
  Table table({"input size", "partitions", "on the NPU", "on the CPU", "MACs on the NPU", "first on the CPU"});
  for (const Attempt& attempt : attempts) {
    if (!attempt.check) {
      table.row({attempt.size, "-", "-", "-", "-", "does not run: " + attempt.error});
      continue;
    }
    const targets::Placement& placement = attempt.check->placement;
    const auto all = static_cast<int64_t>(placement.operators.size());
    const auto first = std::find_if(placement.operators.begin(), placement.operators.end(),
                                    [](const OperatorPlacement& row) { return !row.partition; });
    table.row({attempt.size, std::to_string(placement.partitions), std::to_string(all - placement.on_cpu()),
               std::to_string(placement.on_cpu()), share(placement.npu_macs(), placement.macs()),
               first != placement.operators.end() ? first->reason : ""});
  }
  std::cout << table.text();
}

}  // namespace

void check(const CheckArguments& arguments) {
  // TorchScript files hold no sizes: the first that is given whole serves.
  std::vector<std::string> opening;
  for (const std::string& size : arguments.model.input_sizes) {
    if (is_full(size) && opening.empty()) opening = split(size, '+');
  }
  const auto model = tflite::is_tflite(arguments.model.path)
                         ? graph_of(tflite::read(arguments.model.path))
                         : open_model({arguments.model.path, opening, arguments.model.allow_operators});
  targets::TableQuantizer quantizer = make_quantizer(resolve(arguments.quantizer, QuantizationMode::kPtq).options);
  std::vector<Attempt> attempts;
  if (arguments.model.input_sizes.empty()) attempts.push_back({"", targets::check_model(*model, quantizer), ""});
  for (const std::string& size : arguments.model.input_sizes) {
    const Sizes sizes = sizes_for(*model, size);
    Attempt attempt{size, std::nullopt, ""};
    try {
      attempt.check = targets::check_model(*model, quantizer, sizes);
    } catch (const Error& error) {
      if (arguments.model.input_sizes.size() == 1) throw;
      attempt.error = error.what();
    }
    attempts.push_back(std::move(attempt));
  }
  if (arguments.json) {
    auto json = nlohmann::ordered_json::array();
    for (const Attempt& attempt : attempts) json.push_back(to_json(attempt, quantizer.target().name));
    std::cout << (attempts.size() == 1 ? json[0] : json).dump(2) << '\n';
  } else if (attempts.size() == 1) {
    print(*attempts.front().check);
  } else {
    print_sizes(attempts);
  }
}

}  // namespace octet::cli
