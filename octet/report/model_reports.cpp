#include "octet/report/model_reports.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "octet/formats/dtype.h"
#include "octet/lowering/stats.h"
#include "octet/quantize/qdq.h"
#include "octet/report/check_report.h"
#include "octet/report/numbers.h"
#include "octet/report/table.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

Value value_of(const Node& node) {
  Value value{node.name(), "", {}};
  if (node.meta()) {
    value.dtype = dtype_name(node.meta()->dtype);
    value.shape = node.meta()->sizes;
  }
  return value;
}

nlohmann::ordered_json value_json(const Value& value) {
  nlohmann::ordered_json json = {{"name", value.name}};
  if (!value.dtype.empty()) {
    json["dtype"] = value.dtype;
    json["shape"] = value.shape;
  }
  return json;
}

nlohmann::ordered_json values_json(const std::vector<Value>& values) {
  auto array = nlohmann::ordered_json::array();
  for (const Value& value : values) array.push_back(value_json(value));
  return array;
}

std::string value_text(const Value& value) {
  return value.name + ": " + (value.dtype.empty() ? "shape not known" : value.dtype + ' ' + shape_text(value.shape));
}

// "0.0078125 zp 0", or the span of several: "0.001..0.02 axis 0".
template <typename Scale>
std::string scales_text(const std::vector<Scale>& scales, const std::vector<int64_t>& zero_points, int64_t axis,
                        int precision) {
  const auto [low, high] = std::minmax_element(scales.begin(), scales.end());
  std::ostringstream out;
  out.precision(precision);
  out << *low;
  if (scales.size() > 1) {
    out << ".." << *high << " axis " << axis;
  } else {
    out << " zp " << zero_points.at(0);
  }
  return out.str();
}

std::string grid_text(const std::optional<QuantRecord>& grid) {
  return grid ? grid->dtype + ' ' + scales_text(grid->scale, grid->zero_point, grid->axis.value_or(0), 5) : "-";
}

const tflite::Tensor& tensor_of(const tflite::Model& program, int32_t index) {
  return program.tensors[static_cast<size_t>(index)];
}

std::string grid_text(const tflite::Tensor& tensor) {
  const auto& grid = tensor.quantization;
  const std::string type = tflite::type_name(tensor.type);
  return grid.scale.empty() ? type : type + ' ' + scales_text(grid.scale, grid.zero_point, grid.axis, 6);
}

std::string tensor_text(const tflite::Tensor& tensor) {
  return octet::str(tensor.name, ": ", shape_text(tensor.shape), ' ', grid_text(tensor));
}

nlohmann::ordered_json tensor_json(const tflite::Tensor& tensor) {
  nlohmann::ordered_json json = {
      {"name", tensor.name}, {"dtype", tflite::type_name(tensor.type)}, {"shape", tensor.shape}};
  if (!tensor.quantization.scale.empty()) {
    json["scale"] = tensor.quantization.scale;
    json["zero_point"] = tensor.quantization.zero_point;
    if (tensor.quantization.scale.size() > 1) json["axis"] = tensor.quantization.axis;
  }
  if (tensor.is_constant) json["constant"] = true;
  return json;
}

nlohmann::ordered_json tensors_json(const tflite::Model& program, const std::vector<int32_t>& indices) {
  auto array = nlohmann::ordered_json::array();
  for (const int32_t index : indices) {
    array.push_back(index < 0 ? nlohmann::ordered_json(nullptr) : tensor_json(tensor_of(program, index)));
  }
  return array;
}

}  // namespace

ModelReport model_report(const GraphModule& module) {
  const ModelStats stats = model_stats(module);
  ModelReport report;
  report.facts = module.facts();
  for (const Node* node : module.graph().placeholders()) report.inputs.push_back(value_of(*node));
  for (const Arg& arg : module.graph().output()->args()[0].list()) {
    if (arg.is_node()) report.outputs.push_back(value_of(*arg.node()));
  }
  report.parameters = stats.parameters;
  report.bytes = stats.parameter_bytes + stats.buffer_bytes;
  report.macs = stats.macs;
  report.op_counts = stats.op_counts;
  if (is_quantized(module)) report.rows = quantization_rows(module);
  return report;
}

std::string ModelReport::text() const {
  std::ostringstream out;
  for (const auto& [key, value] : facts) out << key << ": " << value << '\n';
  for (const Value& value : inputs) out << "input   " << value_text(value) << '\n';
  for (const Value& value : outputs) out << "output  " << value_text(value) << '\n';
  out << "parameters " << parameters << ", stored in " << bytes_text(bytes) << "; "
      << fixed(static_cast<double>(macs) / 1e6, 2) << " million multiply-accumulates\n\n";
  Table ops({"count", "op"});
  for (const auto& [op, count] : op_counts) ops.row({std::to_string(count), op});
  out << ops.text();
  if (!rows) return out.str();
  Table grids({"op", "name", "inputs", "output"});
  for (const QuantRow& row : *rows) {
    std::string read;
    for (const auto& input : row.inputs) read += (read.empty() ? "" : " | ") + grid_text(input);
    grids.row({row.op, row.name, read, grid_text(row.output)});
  }
  out << '\n' << grids.text();
  return out.str();
}

nlohmann::ordered_json ModelReport::json() const {
  if (rows) return to_json(*rows);
  nlohmann::ordered_json json;
  json["facts"] = facts;
  json["inputs"] = values_json(inputs);
  json["outputs"] = values_json(outputs);
  json["parameters"] = parameters;
  json["bytes"] = bytes;
  json["macs"] = macs;
  json["ops"] = op_counts;
  return json;
}

std::string KnownModelsReport::text() const {
  Table table({"name", "input", "parameters", "million MACs", "names of weights", "for"});
  for (const Model& model : models) {
    table.row({model.name, shape_text(model.input), std::to_string(model.parameters),
               fixed(static_cast<double>(model.macs) / 1e6, 2), model.state_dict, model.purpose});
  }
  return octet::str(table.text(), "\nas written: ", join(", ", names), "; NNN: width in hundredths\n");
}

nlohmann::ordered_json KnownModelsReport::json() const {
  auto array = nlohmann::ordered_json::array();
  for (const Model& model : models) {
    array.push_back({{"name", model.name},
                     {"input", model.input},
                     {"parameters", model.parameters},
                     {"macs", model.macs},
                     {"state_dict", model.state_dict},
                     {"for", model.purpose},
                     {"options", model.options}});
  }
  return array;
}

std::string ProgramReport::text() const {
  std::ostringstream out;
  for (const int32_t index : program.inputs) out << "input   " << tensor_text(tensor_of(program, index)) << '\n';
  for (const int32_t index : program.outputs) out << "output  " << tensor_text(tensor_of(program, index)) << '\n';
  out << "constants " << bytes_text(integer::constant_bytes(program)) << "; arena " << bytes_text(memory.arena_bytes)
      << ", most alive at one step " << bytes_text(memory.peak_bytes) << "\n\n";
  Table table({"op", "inputs", "output"});
  for (const tflite::Operator& op : program.operators) {
    std::string read, written;
    for (const int32_t index : op.inputs) {
      read += (read.empty() ? "" : " | ") + (index < 0 ? "-" : grid_text(tensor_of(program, index)));
    }
    for (const int32_t index : op.outputs) {
      written += (written.empty() ? "" : " | ") + tensor_text(tensor_of(program, index));
    }
    table.row({tflite::op_name(op.code), read, written});
  }
  return out.str() + table.text();
}

nlohmann::ordered_json ProgramReport::json() const {
  nlohmann::ordered_json json;
  json["description"] = program.description;
  json["inputs"] = tensors_json(program, program.inputs);
  json["outputs"] = tensors_json(program, program.outputs);
  json["operators"] = nlohmann::ordered_json::array();
  for (const tflite::Operator& op : program.operators) {
    json["operators"].push_back({{"op", tflite::op_name(op.code)},
                                 {"version", op.version},
                                 {"inputs", tensors_json(program, op.inputs)},
                                 {"outputs", tensors_json(program, op.outputs)}});
  }
  json["constant_bytes"] = integer::constant_bytes(program);
  json["arena_bytes"] = memory.arena_bytes;
  json["peak_bytes"] = memory.peak_bytes;
  return json;
}

std::string QuantizationReport::text() const {
  return octet::str(output, ": ", operators, " operators, ", operators - in_float, " quantized for ", target,
                    in_float > 0 ? octet::str(", ", in_float, " left in float") : "", "; ", bytes_text(float_bytes),
                    " -> ", bytes_text(bytes), '\n');
}

nlohmann::ordered_json QuantizationReport::json() const {
  nlohmann::ordered_json json = {{"output", output},     {"target", target},           {"operators", operators},
                                 {"in_float", in_float}, {"float_bytes", float_bytes}, {"bytes", bytes}};
  json["warnings"] = warnings_json(warnings);
  return json;
}

std::string ExportReport::text() const {
  std::string text;
  if (tflite) {
    text += octet::str(tflite->path, ": ", tflite->operators, " operators",
                       tflite->in_float > 0 ? octet::str(", ", tflite->in_float, " of them in float") : "", "; arena ",
                       bytes_text(tflite->memory.arena_bytes), ", most alive at one step ",
                       bytes_text(tflite->memory.peak_bytes), '\n');
  }
  if (pt2) text += pt2->path + ": " + pt2->layout + " layout\n";
  if (encodings) text += octet::str(encodings->path, ": ", encodings->count, " encodings\n");
  for (const std::string& path : overlays) text += path + ": for Model Explorer\n";
  return text;
}

nlohmann::ordered_json ExportReport::json() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (tflite) {
    json["tflite"] = {{"path", tflite->path},
                      {"operators", tflite->operators},
                      {"in_float", tflite->in_float},
                      {"arena_bytes", tflite->memory.arena_bytes},
                      {"peak_bytes", tflite->memory.peak_bytes}};
  }
  if (pt2) json["pt2"] = {{"path", pt2->path}, {"layout", pt2->layout}};
  if (encodings) json["encodings"] = {{"path", encodings->path}, {"count", encodings->count}};
  if (!overlays.empty()) json["model_explorer"] = overlays;
  return json;
}

}  // namespace octet::report
