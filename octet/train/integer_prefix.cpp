#include "octet/train/integer_prefix.h"

#include <algorithm>

#include "octet/integer/grid.h"
#include "octet/lowering/facts.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/part.h"
#include "octet/quantize/frozen_prefix.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using tflite::OpCode;

constexpr const char* kPrefixWhere = "integer prefix";

bool is_product(OpCode code) {
  return code == OpCode::kConv2d || code == OpCode::kDepthwiseConv2d || code == OpCode::kFullyConnected ||
         code == OpCode::kTransposeConv || code == OpCode::kBatchMatmul;
}

void check_all_in_integers(const tflite::Model& program) {
  for (const tflite::Operator& op : program.operators) {
    for (const auto* values : {&op.inputs, &op.outputs}) {
      for (const int32_t value : *values) {
        if (value < 0 || program.tensors[static_cast<size_t>(value)].type != tflite::Type::kFloat32) continue;
        throw Error(program.tensors[static_cast<size_t>(value)].name, "stays in float");
      }
    }
  }
}

// What float values are turned into, and back.
void check_on_grids(const tflite::Model& program, const std::vector<int32_t>& values) {
  for (const int32_t value : values) {
    const tflite::Tensor& tensor = program.tensors[static_cast<size_t>(value)];
    if (!integer::grid_of(tensor)) throw Error(tensor.name, "lies on no grid");
  }
}

// Of each of these values, whether the program has its channels last and the model second.
std::vector<bool> are_turned(const tflite::Model& program, const std::vector<int32_t>& values) {
  const std::optional<lowering::ProgramFacts> facts = lowering::facts_of(program);
  std::vector<bool> turned;
  for (const int32_t value : values) {
    const auto index = static_cast<size_t>(value);
    if (!facts || facts->tensors.at(index).node.empty()) {
      throw Error(program.tensors.at(index).name, "does not tell its layout");
    }
    turned.push_back(facts->tensors[index].channels_last);
  }
  return turned;
}

int64_t products_of(const tflite::Model& program) {
  return std::count_if(program.operators.begin(), program.operators.end(),
                       [](const tflite::Operator& op) { return is_product(op.code); });
}

at::Tensor channels_moved(const at::Tensor& x, int64_t from, int64_t to) {
  return x.dim() > 2 ? x.movedim(from, to) : x;
}

// The module's own parameters, statistics and fake quantizers in the place of a copy's.
void share(GraphModule& copy, const GraphModule& module) {
  for (const std::string& name : copy.attr_names()) copy.set_attr(name, module.attr(name), copy.attr_kind(name));
  for (const std::string& name : copy.callable_names()) copy.set_callable(name, module.callable(name));
}

std::vector<std::string> input_names(const GraphModule& module) {
  std::vector<std::string> names;
  for (const Node* node : module.graph().placeholders()) names.push_back(node->name());
  return names;
}

// The places of these inputs among the model's.
std::vector<size_t> places_of(const std::vector<std::string>& names, const std::vector<std::string>& of_model) {
  std::vector<size_t> places;
  for (const std::string& name : names) {
    const auto found = std::find(of_model.begin(), of_model.end(), name);
    if (found == of_model.end()) throw Error(kPrefixWhere, "input '" + name + "' is none of the model's");
    places.push_back(static_cast<size_t>(found - of_model.begin()));
  }
  return places;
}

}  // namespace

IntegerPrefix::Found IntegerPrefix::find(const GraphModule& prepared) {
  std::vector<std::string> ends;
  for (const Node* node : frozen_boundary(prepared)) ends.push_back(node->name());
  if (ends.empty()) return {nullptr, "no layer is frozen whole, with its ranges"};
  try {
    std::shared_ptr<IntegerPrefix> made(new IntegerPrefix);
    const std::shared_ptr<GraphModule> prefix = part_of(prepared, {.from = {}, .to = ends});
    tflite::Model program = lower(*convert_pt2e(prefix), {.nhwc_io = true, .batch = 1});
    check_all_in_integers(program);
    for (const auto* edge : {&program.inputs, &program.outputs}) check_on_grids(program, *edge);
    made->turned_inputs_ = are_turned(program, program.inputs);
    made->turned_outputs_ = are_turned(program, program.outputs);
    made->layers_ = products_of(program);
    made->executor_ = std::make_shared<integer::Executor>(std::move(program));
    const std::vector<std::string> of_model = input_names(prepared);
    made->prefix_inputs_ = places_of(input_names(*prefix), of_model);
    if (made->prefix_inputs_.size() != made->turned_inputs_.size() || ends.size() != made->turned_outputs_.size()) {
      throw Error(kPrefixWhere, "the program's inputs and results are not the model's");
    }
    made->rest_ = part_of(prepared, {.from = ends, .to = {}});
    std::vector<std::string> besides = input_names(*made->rest_);
    besides.erase(besides.begin(), besides.begin() + static_cast<int64_t>(ends.size()));
    made->rest_inputs_ = places_of(besides, of_model);
    share(*made->rest_, prepared);
    return {made, ""};
  } catch (const Error& error) {
    return {nullptr, error.what()};
  }
}

std::vector<at::Tensor> IntegerPrefix::ends(const std::vector<at::Tensor>& inputs) const {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> taken;
  bool channels_last = false;
  for (size_t i = 0; i < prefix_inputs_.size(); ++i) {
    const at::Tensor& value = inputs.at(prefix_inputs_[i]);
    channels_last = channels_last || value.suggest_memory_format() != at::MemoryFormat::Contiguous;
    taken.push_back((turned_inputs_[i] ? channels_moved(value, 1, -1) : value).contiguous());
  }
  std::vector<at::Tensor> values = executor_->run_dequantized(taken);
  for (size_t i = 0; i < values.size(); ++i) {
    if (turned_outputs_[i]) values[i] = channels_moved(values[i], -1, 1);
    if (!channels_last) values[i] = values[i].contiguous();
  }
  return values;
}

std::vector<at::Tensor> IntegerPrefix::run(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> to_rest = ends(inputs);
  for (const size_t input : rest_inputs_) to_rest.push_back(inputs.at(input));
  return rest_->run(to_rest);
}

}  // namespace octet
