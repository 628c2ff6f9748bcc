#include "octet/lowering/graph_lowering.h"

#include "octet/graph/constant_value.h"
#include "octet/graph/written_buffers.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/complex_parts.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/constants.h"
#include "octet/lowering/far_values.h"
#include "octet/lowering/grids.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/operator_lowering.h"
#include "octet/lowering/recentre.h"
#include "octet/lowering/rule.h"
#include "octet/lowering/simplify.h"
#include "octet/lowering/unwritten.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;

namespace {

OperatorSource source_of(const Node& node) {
  const std::string model_node = float_name(node);
  return {node.name(), model_node == node.name() ? "" : model_node, node.is_call() ? node.op().text() : ""};
}

}  // namespace

GraphLowering::GraphLowering(const GraphModule& module, const LoweringOptions& options)
    : module_(module),
      options_(options),
      channels_last_(channels_first_values(module.graph())),
      grids_(values_on_grids(module, options)) {}

tflite::Model GraphLowering::run() {
  place_inputs();
  for (const Node* node : module_.graph().nodes()) {
    if (node->kind() == NodeKind::kPlaceholder || node->kind() == NodeKind::kOutput || is_constant_value(*node)) {
      continue;
    }
    if (node->kind() == NodeKind::kCallModule) {
      throw Error(node->where(), "is a submodule; convert the prepared model first (convert_pt2e)");
    }
    program_.set_source(source_of(*node));
    if (node->is(Trait::kQuantize)) {
      lower_quantize(*node);
    } else if (node->is(Trait::kDequantize)) {
      values_[node] = placed(*node->arg(size_t{0}).node());
    } else if (node->is_call()) {
      lower_node(*node);
    }
  }
  place_outputs();
  simplify(program_, options_);
  return program_.to_model();
}

std::optional<Grid> GraphLowering::grid(const Node& node) const {
  const auto found = grids_.find(&node);
  return found != grids_.end() ? std::optional(found->second) : std::nullopt;
}

const PlacedValue& GraphLowering::placed(const Node& node) const {
  const auto found = values_.find(&node);
  if (found == values_.end()) throw Error(node.where(), "has no single tensor as its value");
  return found->second;
}

void GraphLowering::set_value(const Node& node, ValueId value) {
  values_[&node] = {value, channels_last(node)};
  const Program::Value& made = program_.at(value);
  if (!made.source.node.empty() || made.constant || program_.is_input(value)) return;
  program_.set_value_source(value, {node.name(), channels_last(node) && made.shape.size() > 2});
}

ValueId GraphLowering::converted(ValueId value, const std::optional<Grid>& grid) {
  const std::optional<Grid> given = program_.at(value).grid();
  if (grid ? given && given->has_levels_of(*grid) : !given) return value;
  const auto key = std::tuple(value, grid ? grid->type : tflite::Type::kFloat32, grid ? grid->scale : 0.0F,
                              grid ? grid->zero_point : 0);
  const auto known = converted_.find(key);
  if (known != converted_.end()) return known->second;
  const std::string name = program_.at(value).name;
  const ValueId result = program_.value(name + (grid ? "_quantized" : "_dequantized"), program_.at(value).shape, grid);
  const ValueId source = grid && !given ? far_values_.within_reach(value, *grid) : value;
  program_.emit(grid ? OpCode::kQuantize : OpCode::kDequantize, {source}, {result});
  return converted_[key] = result;
}

ValueId GraphLowering::transposed(ValueId value, const std::vector<int64_t>& order, const std::string& name) {
  const auto known = transposed_.find({value, order});
  // The reference gives each reader of an input a transposition of its own.
  if (known != transposed_.end() && !(options_.is_plain() && program_.is_input(value))) return known->second;
  const ValueId result = program_.value_like(value, name, reordered(program_.at(value).shape, order));
  program_.emit(OpCode::kTranspose, {value, program_.integers(name + "_order", order)}, {result});
  return transposed_[{value, order}] = result;
}

ValueId GraphLowering::constant_in_order(const Node& node, const Constant& constant, bool channels_last) {
  const auto rank = static_cast<size_t>(constant.values.dim());
  const bool turns = channels_last && rank > 2;
  return program_.constant(node.name(), turns ? permuted(constant, to_channels_last(rank)) : constant);
}

ValueId GraphLowering::stored(const Node& constant, bool channels_last) {
  return constant_in_order(constant, constant_of(module_, constant).value(), channels_last);
}

ValueId GraphLowering::value_of(const Node& node, bool channels_last, const std::optional<Grid>& grid) {
  if (is_constant_value(node)) {
    std::optional<Constant> constant = constant_of(module_, node);
    if (!grid) *constant = {dequantized(*constant), {}};
    return converted(constant_in_order(node, *constant, channels_last), grid);
  }
  const PlacedValue& found = placed(node);
  const auto in_order = [&](ValueId value) {
    const size_t rank = program_.at(value).shape.size();
    if (rank < 3 || found.channels_last == channels_last) return value;
    const std::string name = program_.at(value).name;
    return channels_last ? transposed(value, to_channels_last(rank), name + "_nhwc")
                         : transposed(value, to_channels_first(rank), name + "_nchw");
  };
  // Levels move more cheaply than floats.
  const bool is_quantized = program_.at(found.id).grid().has_value();
  return is_quantized ? converted(in_order(found.id), grid) : in_order(converted(found.id, grid));
}

// The grid that inputs and results have outside.
std::optional<Grid> GraphLowering::at_the_edge(const std::optional<Grid>& grid) const {
  if (!options_.uint8_io || !grid || !grid->is_int8()) return grid;
  return Grid::of_type(tflite::Type::kUInt8, grid->scale, grid->zero_point + 128);
}

void GraphLowering::place_inputs() {
  for (const Node* node : module_.graph().placeholders()) {
    if (!node->meta()) throw Error(node->where(), "the input's shape is not known");
    const bool is_image = options_.nhwc_io && channels_last(*node) && node->meta()->rank() > 2;
    const std::vector<int64_t>& sizes = node->sizes();
    const std::vector<int64_t> shape = is_image ? reordered(sizes, to_channels_last(sizes.size())) : sizes;
    const std::optional<Grid> outside = at_the_edge(grid(*node));
    const ValueId value =
        outside ? program_.value(node->target(), shape, outside)
                : program_.value(node->target(), shape, type_without_grid(node->meta()->dtype, node->where()));
    program_.set_value_source(value, {node->name(), is_image});
    program_.add_input(node->target(), value);
    values_[node] = {converted(value, grid(*node)), is_image};
  }
}

void GraphLowering::lower_quantize(const Node& node) {
  const PlacedValue source = placed(*node.arg(size_t{0}).node());
  values_[&node] = {converted(source.id, grid(node)), source.channels_last};
}

void GraphLowering::lower_node(const Node& node) {
  const OperatorRow* rule = find_lowering_rule(node);
  if (rule == nullptr) {
    const std::string_view builtin = unwritten_builtin(node.op().short_name());
    const std::string why = builtin.empty()
                                ? octet::str("TFLite has no operator for ", node.op().text())
                                : octet::str(node.op().text(), " is not written by octet, though TFLite has ", builtin);
    const std::string_view name = node.op().short_name();
    const bool repeats = name == "gru" || name == "lstm" || name == "rnn_tanh" || name == "rnn_relu";
    throw Error(node.where(), why)
        .hint(
            octet::str(repeats ? "quantize it written out step by step (--unroll-rnn yes)" : "replace it in the model",
                       ", or write the part in front of it: --largest-prefix, or --to NODE"));
  }
  if (!moves_values(node)) require_int8(node);
  OperatorLowering op(*this, node);
  rule->lower(op);
}

// What moves values takes any levels; whether it has a kernel is for the runtime to say.
void GraphLowering::require_int8(const Node& node) const {
  const auto require = [&](const Node& value) {
    const std::optional<Grid> levels = grid(value);
    if (!levels || levels->is_int8()) return;
    throw expected(node.where(), octet::str("type of '", value.name(), "'"), "int8", tflite::type_name(levels->type))
        .hint("it is computed in int8 alone");
  };
  if (!grid(node)) return;
  require(node);
  for (const Node* input : node.inputs()) require(*input);
}

// TFLite takes a tensor for an input or for a result, not for both.
ValueId GraphLowering::copied(ValueId value) {
  const Program::Value source = program_.at(value);
  const ValueId result = program_.value_like(value, source.name + "_result", source.shape);
  tflite::Options options;
  options.new_shape.assign(source.shape.begin(), source.shape.end());
  program_.emit(OpCode::kReshape, {value, program_.integers(source.name + "_shape", source.shape)}, {result}, options);
  return result;
}

void GraphLowering::place_outputs() {
  const Node* output = module_.graph().output();
  output->arg(size_t{0}).for_each_node([&](const Node* node) {
    const bool is_image = options_.nhwc_io && channels_last(*node);
    program_.set_source(source_of(*node));
    ValueId value = value_of(*node, is_image, options_.float_io ? std::nullopt : at_the_edge(grid(*node)));
    if (program_.is_input(value) || program_.at(value).constant || program_.is_output(value)) value = copied(value);
    program_.add_output(octet::str("output_", program_.outputs().size()), value);
  });
}

}  // namespace octet::lowering

namespace octet {
namespace {

// TFLite's grids are known beforehand, one a tensor or one a channel.
void check_grids(const Graph& graph) {
  for (const Node* node : graph.nodes()) {
    if (!node->is(Trait::kDequantize) || node->user_count() == 0) continue;
    const bool dynamic = chooser_of(*node) != nullptr;
    if (!dynamic && !node->has_arg("block_size")) continue;
    throw Error(node->users().front()->where(),
                octet::str("reads a value on ", dynamic ? "a grid that each run finds" : "grids in blocks",
                           ", for which a .tflite has no form"))
        .hint("write a .pt2");
  }
}

}  // namespace

tflite::Model lower(const GraphModule& converted, const LoweringOptions& options) {
  check_grids(converted.graph());
  const auto program = converted.copy();
  program->train(false);
  drop_last_writes(*program);
  if (lowering::computes_in_uint8(*program)) lowering::recentre_uint8(*program);
  if (options.batch > 0) make_batch_flexible(*program);
  propagate_shapes(*program, example_inputs(*program, options.batch));
  settle_sizes(*program);
  lowering::decompose_complex(*program, lowering::ComplexSources::kSpectra);
  return lowering::GraphLowering(*program, options).run();
}

}  // namespace octet
