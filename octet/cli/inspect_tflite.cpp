#include "octet/cli/inspect_tflite.h"

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/table.h"
#include "octet/formats/tflite.h"
#include "octet/integer/memory_plan.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

using nlohmann::ordered_json;
using tflite::Model;
using tflite::Tensor;

const Tensor& tensor_of(const Model& model, int32_t index) { return model.tensors[static_cast<size_t>(index)]; }

std::string grid_text(const Tensor& tensor) {
  const auto& grid = tensor.quantization;
  if (grid.scale.empty()) return tflite::type_name(tensor.type);
  const auto [low, high] = std::minmax_element(grid.scale.begin(), grid.scale.end());
  std::string text = octet::str(tflite::type_name(tensor.type), ' ', *low);
  if (grid.scale.size() > 1) return text + octet::str("..", *high, " axis ", grid.axis);
  return text + octet::str(" zp ", grid.zero_point.at(0));
}

std::string value_text(const Tensor& tensor) {
  return octet::str(tensor.name, ": [", join(", ", tensor.shape), "] ", grid_text(tensor));
}

ordered_json tensor_json(const Tensor& tensor) {
  ordered_json json = {{"name", tensor.name}, {"dtype", tflite::type_name(tensor.type)}, {"shape", tensor.shape}};
  if (!tensor.quantization.scale.empty()) {
    json["scale"] = tensor.quantization.scale;
    json["zero_point"] = tensor.quantization.zero_point;
    if (tensor.quantization.scale.size() > 1) json["axis"] = tensor.quantization.axis;
  }
  if (tensor.is_constant) json["constant"] = true;
  return json;
}

ordered_json tensors_json(const Model& model, const std::vector<int32_t>& indices) {
  auto array = ordered_json::array();
  for (const int32_t index : indices) {
    array.push_back(index < 0 ? ordered_json(nullptr) : tensor_json(tensor_of(model, index)));
  }
  return array;
}

int64_t constant_bytes(const Model& model) {
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors) bytes += static_cast<int64_t>(tensor.data.size());
  return bytes;
}

void print_json(const Model& model, const integer::MemoryPlan& memory) {
  ordered_json json;
  json["description"] = model.description;
  json["inputs"] = tensors_json(model, model.inputs);
  json["outputs"] = tensors_json(model, model.outputs);
  json["operators"] = ordered_json::array();
  for (const tflite::Operator& op : model.operators) {
    json["operators"].push_back({{"op", tflite::op_name(op.code)},
                                 {"version", op.version},
                                 {"inputs", tensors_json(model, op.inputs)},
                                 {"outputs", tensors_json(model, op.outputs)}});
  }
  json["constant_bytes"] = constant_bytes(model);
  json["arena_bytes"] = memory.arena_bytes;
  json["peak_bytes"] = memory.peak_bytes;
  std::cout << json.dump(2) << '\n';
}

void print_text(const Model& model, const integer::MemoryPlan& memory) {
  for (const int32_t index : model.inputs) std::cout << "input   " << value_text(tensor_of(model, index)) << '\n';
  for (const int32_t index : model.outputs) std::cout << "output  " << value_text(tensor_of(model, index)) << '\n';
  std::cout << "constants " << bytes_text(constant_bytes(model)) << "; arena " << bytes_text(memory.arena_bytes)
            << ", most alive at one step " << bytes_text(memory.peak_bytes) << "\n\n";
  Table table({"op", "inputs", "output"});
  for (const tflite::Operator& op : model.operators) {
    std::string inputs;
    for (const int32_t index : op.inputs) {
      inputs += octet::str(inputs.empty() ? "" : " | ", index < 0 ? "-" : grid_text(tensor_of(model, index)));
    }
    std::string outputs;
    for (const int32_t index : op.outputs)
      outputs += (outputs.empty() ? "" : " | ") + value_text(tensor_of(model, index));
    table.row({tflite::op_name(op.code), inputs, outputs});
  }
  std::cout << table.text();
}

}  // namespace

void inspect_tflite(const std::string& path, bool json) {
  const Model model = tflite::read(path);
  const integer::MemoryPlan memory = integer::plan_memory(model);
  json ? print_json(model, memory) : print_text(model, memory);
}

}  // namespace octet::cli
