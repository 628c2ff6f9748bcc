#include "octet/lowering/operator_lowering.h"

#include "octet/graph/constant_value.h"
#include "octet/integer/executor.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/rule.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

bool gives_another_grid(OpCode code, const std::optional<Grid>& wanted) {
  const std::optional<Grid> own = wanted ? integer::result_grid_of(code) : std::nullopt;
  return own && !own->has_levels_of(*wanted);
}

}  // namespace

OperatorLowering::OperatorLowering(GraphLowering& graph, const Node& node)
    : graph_(graph), node_(node), grid_(graph.grid(node)), channels_last_(graph.channels_last(node)) {
  const OperatorRow* rule = find_lowering_rule(node);
  on_one_grid_ = rule != nullptr && rule->arithmetic == Arithmetic::kOneGrid;
  const TensorMeta* meta = node.meta() ? &*node.meta() : nullptr;
  if (meta == nullptr && !node.element_metas().empty()) meta = &node.element_metas().front();
  if (meta != nullptr) type_ = type_without_grid(meta->dtype, node.where());
}

const Node* OperatorLowering::argument_node(std::string_view argument) const {
  if (argument.empty()) return node_.arg(size_t{0}).is_node() ? node_.arg(size_t{0}).node() : node_.inputs().front();
  return node_.has_arg(argument) ? node_.arg(argument).node() : nullptr;
}

bool OperatorLowering::is_none(std::string_view argument) const {
  return !node_.has_arg(argument) || node_.arg(argument).is_none();
}

const std::vector<int64_t>& OperatorLowering::sizes(std::string_view argument) const {
  const Node* source = argument_node(argument);
  if (source == nullptr) refuse(octet::str("argument '", argument, "' is no tensor"));
  return source->sizes();
}

int64_t OperatorLowering::integer(std::string_view argument, int64_t missing) const {
  return is_none(argument) ? missing : node_.arg(argument).to_int();
}

double OperatorLowering::number(std::string_view argument, double missing) const {
  return is_none(argument) ? missing : node_.arg(argument).to_double();
}

bool OperatorLowering::flag(std::string_view argument) const {
  return !is_none(argument) && node_.arg(argument).to_bool();
}

std::string OperatorLowering::text(std::string_view argument, const std::string& missing) const {
  return is_none(argument) ? missing : node_.arg(argument).to_string();
}

std::vector<int64_t> OperatorLowering::integers(std::string_view argument) const {
  if (is_none(argument)) return {};
  const Arg& arg = node_.arg(argument);
  if (!arg.is_constant()) refuse(octet::str("argument '", argument, "' is computed by the program"));
  return arg.constant().isInt() ? std::vector<int64_t>{arg.to_int()} : arg.to_ints();
}

std::pair<int64_t, int64_t> OperatorLowering::pair(std::string_view argument,
                                                   std::pair<int64_t, int64_t> missing) const {
  const std::vector<int64_t> values = integers(argument);
  if (values.empty()) return missing;
  return {values.front(), values.back()};
}

int64_t OperatorLowering::dimension(std::string_view argument, int64_t missing, int64_t rank) const {
  const int64_t given = integer(argument, missing);
  return given < 0 ? given + rank : given;
}

std::optional<Constant> OperatorLowering::constant(std::string_view argument) const {
  const Node* source = argument_node(argument);
  if (source == nullptr) return std::nullopt;
  return constant_of(graph_.module(), *source);
}

std::optional<Constant> OperatorLowering::constant(const Node& value) const {
  return constant_of(graph_.module(), value);
}

ValueId OperatorLowering::input(std::string_view argument) { return input(argument, channels_last_); }

ValueId OperatorLowering::input(std::string_view argument, bool channels_last) {
  const Node* source = argument_node(argument);
  if (source == nullptr) refuse(octet::str("argument '", argument, "' is no tensor"));
  return input(*source, channels_last);
}

ValueId OperatorLowering::input(const Node& value, bool channels_last) {
  if (!grid_) return graph_.value_of(value, channels_last, std::nullopt);
  if (on_one_grid_) return graph_.value_of(value, channels_last, grid_);
  if (is_constant_value(value)) return graph_.stored(value, channels_last);
  return graph_.value_of(value, channels_last, graph_.grid(value));
}

tflite::Type OperatorLowering::type_of_argument(std::string_view argument) const {
  if (const Node* source = argument_node(argument)) {
    if (!source->meta()) refuse(octet::str("argument '", argument, "' is no single tensor"));
    return type_without_grid(source->meta()->dtype, source->where());
  }
  const c10::IValue& number = node_.arg(argument).constant();
  return number.isBool() ? tflite::Type::kBool : number.isInt() ? tflite::Type::kInt64 : tflite::Type::kFloat32;
}

std::optional<Grid> OperatorLowering::grid_of_argument(std::string_view argument) const {
  const Node* source = argument_node(argument);
  return source == nullptr ? std::nullopt : graph_.grid(*source);
}

ValueId OperatorLowering::operand(std::string_view argument, tflite::Type type) {
  const Node* source = argument_node(argument);
  const auto wanted = static_cast<size_t>(rank());
  if (source == nullptr) {
    if (is_none(argument)) refuse(octet::str("argument '", argument, "' is missing"));
    const at::Scalar number = node_.arg(argument).constant().toScalar();
    return plain_constant(std::string(argument), at::scalar_tensor(number, integer::scalar_type(type)));
  }
  const std::vector<int64_t>& sizes = source->sizes();
  std::vector<int64_t> full(wanted - std::min(wanted, sizes.size()), 1);
  full.insert(full.end(), sizes.begin(), sizes.end());
  if (std::optional<Constant> value = constant(argument)) {
    if (!grid_) *value = {dequantized(*value).to(integer::scalar_type(type)), {}};
    value->values = value->values.reshape(full);
    if (channels_last_) value->values = value->values.permute(to_channels_last(wanted)).contiguous();
    return constant_tensor(std::string(argument), *value);
  }
  const auto in_type = [&](ValueId value) {
    return grid_of(value) ? value : cast(octet::str(argument, "_cast"), value, type);
  };
  if (sizes.size() == wanted) return in_type(input(argument));
  const ValueId plain = in_type(input(argument, false));
  const ValueId widened = reshaped(octet::str(argument, "_wide"), plain, full);
  return channels_last_ ? transposed(octet::str(argument, "_nhwc"), widened, to_channels_last(wanted)) : widened;
}

ValueId OperatorLowering::cast(const std::string& name, ValueId value, tflite::Type type) {
  if (type_of(value) == type) return value;
  Options options;
  options.in_type = type_of(value);
  options.out_type = type;
  return step_of(name, OpCode::kCast, {value}, shape_of(value), type, options);
}

ValueId OperatorLowering::levels(std::string_view argument) {
  const Node* source = argument_node(argument);
  if (source == nullptr) refuse(octet::str("argument '", argument, "' is no tensor"));
  return graph_.value_of(*source, false, graph_.grid(*source));
}

ValueId OperatorLowering::plain_constant(const std::string& name, const at::Tensor& values) {
  return constant_tensor(name, {values, {}});
}

ValueId OperatorLowering::constant_tensor(const std::string& name, const Constant& constant) {
  return graph_.program().constant(octet::str(node_.name(), "/", name), constant);
}

ValueId OperatorLowering::numbers(const std::string& name, const at::Tensor& values, const std::optional<Grid>& grid) {
  if (!grid) return constant_tensor(name, {values.to(at::kFloat), {}});
  return constant_tensor(name, quantized(values, *grid));
}

ValueId OperatorLowering::indices(const std::string& name, const std::vector<int64_t>& values) {
  return graph_.program().integers(octet::str(node_.name(), "/", name), values);
}

ValueId OperatorLowering::indices(const std::string& name, const std::vector<int64_t>& values,
                                  const std::vector<int64_t>& shape) {
  return graph_.program().integers(octet::str(node_.name(), "/", name), values, shape);
}

std::vector<int64_t> OperatorLowering::laid_out(const std::vector<int64_t>& sizes) const {
  return channels_last_ ? reordered(sizes, to_channels_last(sizes.size())) : sizes;
}

int64_t OperatorLowering::axis(int64_t dimension, int64_t rank) const {
  if (dimension < 0) dimension += rank;
  if (!channels_last_ || dimension == 0) return dimension;
  return dimension == 1 ? rank - 1 : dimension - 1;
}

void OperatorLowering::emit(OpCode code, std::vector<ValueId> inputs, const Options& options) {
  Program& program = graph_.program();
  if (gives_another_grid(code, grid_)) {
    emit(OpCode::kQuantize,
         {before_quantize("result", code, std::move(inputs), laid_out(node_.sizes()), *grid_, options)});
    return;
  }
  const std::vector<int64_t> shape = laid_out(node_.sizes());
  const ValueId out = grid_ ? program.value(node_.name(), shape, grid_) : program.value(node_.name(), shape, type_);
  program.set_value_source(out, {node_.name(), channels_last_ && node_.sizes().size() > 2});
  program.emit(code, std::move(inputs), {out}, options);
  graph_.set_value(node_, out);
}

ValueId OperatorLowering::step(const std::string& name, OpCode code, std::vector<ValueId> inputs,
                               std::vector<int64_t> shape, const Options& options) {
  return grid_ ? step_on(name, code, std::move(inputs), std::move(shape), grid_, options)
               : step_of(name, code, std::move(inputs), std::move(shape), type_, options);
}

ValueId OperatorLowering::step_of(const std::string& name, OpCode code, std::vector<ValueId> inputs,
                                  std::vector<int64_t> shape, tflite::Type type, const Options& options) {
  return steps_of(name, code, std::move(inputs), shape, {type}, options).front();
}

std::vector<ValueId> OperatorLowering::steps_of(const std::string& name, OpCode code, std::vector<ValueId> inputs,
                                                const std::vector<int64_t>& shape,
                                                const std::vector<tflite::Type>& types, const Options& options) {
  std::vector<ValueId> made;
  for (size_t i = 0; i < types.size(); ++i) {
    const std::string each = types.size() == 1 ? name : octet::str(name, "_", i);
    made.push_back(graph_.program().value(octet::str(node_.name(), "/", each), shape, types[i]));
  }
  graph_.program().emit(code, std::move(inputs), made, options);
  return made;
}

ValueId OperatorLowering::step_on(const std::string& name, OpCode code, std::vector<ValueId> inputs,
                                  std::vector<int64_t> shape, const std::optional<Grid>& grid, const Options& options) {
  if (gives_another_grid(code, grid)) {
    const ValueId given = before_quantize(name, code, std::move(inputs), shape, *grid, options);
    return step_on(name, OpCode::kQuantize, {given}, std::move(shape), grid);
  }
  const ValueId out = graph_.program().value(octet::str(node_.name(), "/", name), std::move(shape), grid);
  graph_.program().emit(code, std::move(inputs), {out}, options);
  return out;
}

ValueId OperatorLowering::before_quantize(const std::string& name, OpCode code, std::vector<ValueId> inputs,
                                          std::vector<int64_t> shape, const Grid& grid, const Options& options) {
  const std::optional<Grid> own = integer::result_grid_of(code);
  if (grid.scale >= own->scale)
    return step_on(name + "_on_its_grid", code, std::move(inputs), std::move(shape), own, options);
  for (ValueId& input : inputs) {
    input = step_on(name + "_of_floats", OpCode::kDequantize, {input}, shape_of(input), std::nullopt);
  }
  return step_on(name + "_in_float", code, std::move(inputs), std::move(shape), std::nullopt, options);
}

ValueId OperatorLowering::reshaped(const std::string& name, ValueId from, const std::vector<int64_t>& shape) {
  if (shape_of(from) == shape) return from;
  Options options;
  options.new_shape.assign(shape.begin(), shape.end());
  const ValueId sizes = indices(name + "_shape", shape);
  const std::optional<Grid> grid = grid_of(from);
  return grid ? step_on(name, OpCode::kReshape, {from, sizes}, shape, grid, options)
              : step_of(name, OpCode::kReshape, {from, sizes}, shape, type_of(from), options);
}

ValueId OperatorLowering::transposed(const std::string& name, ValueId from, const std::vector<int64_t>& order) {
  return graph_.transposed(from, order, octet::str(node_.name(), "/", name));
}

void OperatorLowering::refuse(const std::string& what, const std::string& way_out) const {
  const Error error(node_.where(), octet::str("cannot be written as TFLite: ", what));
  throw way_out.empty() ? error : error.hint(way_out);
}

}  // namespace octet::lowering
