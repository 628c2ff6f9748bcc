#include "octet/lowering/graph_lowering.h"

#include <nlohmann/json.hpp>

#include "octet/graph/constant_value.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/constants.h"
#include "octet/lowering/grids.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/operator_lowering.h"
#include "octet/lowering/rule.h"
#include "octet/lowering/simplify.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;

GraphLowering::GraphLowering(const GraphModule& module, const LoweringOptions& options)
    : module_(module),
      options_(options),
      channels_last_(channels_first_values(module.graph())),
      grids_(int8_values(module, options)) {}

tflite::Model GraphLowering::run() {
  place_inputs();
  for (const Node* node : module_.graph().nodes()) {
    if (node->kind() == NodeKind::kPlaceholder || node->kind() == NodeKind::kOutput || is_constant_value(*node)) {
      continue;
    }
    if (node->kind() == NodeKind::kCallModule) {
      throw Error(node->where(), "is a submodule; convert the prepared model first (convert_pt2e)");
    }
    if (is_quantize_op(*node)) {
      lower_quantize(*node);
    } else if (is_dequantize_op(*node)) {
      values_[node] = value(*node->arg(size_t{0}).node());
    } else if (node->is_call()) {
      lower_node(*node);
    }
  }
  place_outputs();
  tflite::Model model = simplified(std::move(program_.model()), options_);
  nlohmann::ordered_json facts;
  facts["channels_last"] = nlohmann::ordered_json::array();
  for (const tflite::Tensor& tensor : model.tensors) {
    const Node* node = module_.graph().find(tensor.name);
    if (node != nullptr && tensor.shape.size() > 2 && channels_last(*node)) {
      facts["channels_last"].push_back(tensor.name);
    }
  }
  model.metadata.emplace_back(kProgramFacts, facts.dump());
  return model;
}

std::optional<Grid> GraphLowering::grid(const Node& node) const {
  const auto found = grids_.find(&node);
  return found != grids_.end() ? std::optional(found->second) : std::nullopt;
}

const Value& GraphLowering::value(const Node& node) const {
  const auto found = values_.find(&node);
  if (found == values_.end()) throw Error(node.where(), "has no single tensor as its value");
  return found->second;
}

bool GraphLowering::is_input(int32_t tensor) const {
  const auto& inputs = program_.model().inputs;
  return std::find(inputs.begin(), inputs.end(), tensor) != inputs.end();
}

int32_t GraphLowering::converted(int32_t tensor, const std::optional<Grid>& grid) {
  const std::optional<Grid> given = program_.grid(tensor);
  if (given == grid) return tensor;
  const std::string name = program_.tensor(tensor).name;
  const auto key = std::tuple(tensor, grid.has_value(), grid ? grid->scale : 0.0F, grid ? grid->zero_point : 0);
  const auto known = converted_.find(key);
  if (known != converted_.end()) return known->second;
  const int32_t result =
      program_.value(name + (grid ? "_quantized" : "_dequantized"), program_.tensor(tensor).shape, grid);
  program_.emit(grid ? OpCode::kQuantize : OpCode::kDequantize, {tensor}, {result});
  return converted_[key] = result;
}

int32_t GraphLowering::transposed(int32_t tensor, const std::vector<int64_t>& order, const std::string& name) {
  const auto known = transposed_.find({tensor, order});
  // The reference gives each reader of an input a transposition of its own.
  if (known != transposed_.end() && !(options_.is_plain() && is_input(tensor))) return known->second;
  const int32_t result = program_.value(name, reordered(program_.tensor(tensor).shape, order), program_.grid(tensor));
  program_.emit(OpCode::kTranspose, {tensor, program_.integers(name + "_order", order)}, {result});
  return transposed_[{tensor, order}] = result;
}

int32_t GraphLowering::tensor_of(const Node& node, bool channels_last, const std::optional<Grid>& grid) {
  if (is_constant_value(node)) {
    std::optional<Constant> constant = constant_of(module_, node);
    if (!grid) *constant = {dequantized(*constant), {}};
    const auto rank = static_cast<size_t>(constant->values.dim());
    if (channels_last && rank > 2) *constant = permuted(*constant, to_channels_last(rank));
    return converted(program_.constant(node.name(), *constant), grid);
  }
  const Value& found = value(node);
  const auto in_order = [&](int32_t tensor) {
    const size_t rank = program_.tensor(tensor).shape.size();
    if (rank < 3 || found.channels_last == channels_last) return tensor;
    const std::string name = program_.tensor(tensor).name;
    return channels_last ? transposed(tensor, to_channels_last(rank), name + "_nhwc")
                         : transposed(tensor, to_channels_first(rank), name + "_nchw");
  };
  // Bytes move more cheaply than floats.
  const bool is_int8 = program_.grid(found.tensor).has_value();
  return is_int8 ? converted(in_order(found.tensor), grid) : in_order(converted(found.tensor, grid));
}

void GraphLowering::place_inputs() {
  for (const Node* node : module_.graph().placeholders()) {
    if (!node->meta()) throw Error(node->where(), "the input's shape is not known");
    const bool is_image = options_.nhwc_io && channels_last(*node) && node->meta()->rank() > 2;
    const std::vector<int64_t>& sizes = node->sizes();
    const int32_t tensor = program_.value(
        node->target(), is_image ? reordered(sizes, to_channels_last(sizes.size())) : sizes, grid(*node));
    program_.model().inputs.push_back(tensor);
    program_.model().signature_inputs.emplace_back(node->target(), tensor);
    values_[node] = {tensor, is_image};
  }
}

void GraphLowering::lower_quantize(const Node& node) {
  const Value& source = value(*node.arg(size_t{0}).node());
  values_[&node] = {converted(source.tensor, grid(node)), source.channels_last};
}

void GraphLowering::lower_node(const Node& node) {
  const LoweringRule* rule = find_lowering_rule(node);
  if (rule == nullptr) {
    throw Error(node.where(), octet::str("TFLite has no operator for ", node.op().text()))
        .hint("replace it in the model, or cut the model there");
  }
  OperatorLowering op(*this, node);
  rule->lower(op);
}

// TFLite takes a tensor for an input or for a result, not for both.
int32_t GraphLowering::copied(int32_t tensor) {
  const tflite::Tensor source = program_.tensor(tensor);
  const int32_t result = program_.value(source.name + "_result", source.shape, program_.grid(tensor));
  tflite::Options options;
  options.new_shape.assign(source.shape.begin(), source.shape.end());
  program_.emit(OpCode::kReshape, {tensor, program_.integers(source.name + "_shape", source.shape)}, {result}, options);
  return result;
}

void GraphLowering::place_outputs() {
  const Node* output = module_.graph().output();
  std::vector<int32_t>& results = program_.model().outputs;
  output->arg(size_t{0}).for_each_node([&](const Node* node) {
    const bool is_image = options_.nhwc_io && channels_last(*node);
    int32_t tensor = tensor_of(*node, is_image, options_.float_io ? std::nullopt : grid(*node));
    if (is_input(tensor) || program_.tensor(tensor).is_constant ||
        std::find(results.begin(), results.end(), tensor) != results.end()) {
      tensor = copied(tensor);
    }
    program_.model().signature_outputs.emplace_back(octet::str("output_", results.size()), tensor);
    results.push_back(tensor);
  });
}

}  // namespace octet::lowering

namespace octet {

tflite::Model lower(const GraphModule& converted, const LoweringOptions& options) {
  const auto program = converted.copy();
  program->train(false);
  if (options.batch > 0) make_batch_flexible(*program);
  propagate_shapes(*program, example_inputs(*program, options.batch));
  return lowering::GraphLowering(*program, options).run();
}

}  // namespace octet
