#include "octet/lowering/program_graph.h"

#include <ATen/Functions.h>

#include <cstring>

#include "octet/integer/executor.h"
#include "octet/integer/grid.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/way_back.h"
#include "octet/support/error.h"

namespace octet {
namespace lowering {

using tflite::OpCode;
using tflite::Operator;
using tflite::Tensor;
using tflite::Type;

namespace {

using Ints = std::vector<int64_t>;

// Levels, int32 and float32 are what octet's graphs of programs hold.
at::ScalarType scalar_type_of(const Tensor& tensor) {
  if (!integer::is_level_type(tensor.type) && tensor.type != Type::kInt32 && tensor.type != Type::kFloat32) {
    throw expected(tensor.name, "type", "int8, uint8, int16, int32 or float32", tflite::type_name(tensor.type));
  }
  return integer::scalar_type(tensor.type);
}

std::string plain_name(const std::string& name) {
  std::string text = name.empty() ? "value" : name;
  for (char& each : text) {
    if (std::isalnum(static_cast<unsigned char>(each)) == 0) each = '_';
  }
  return text;
}

}  // namespace

WayBack::WayBack(const tflite::Model& program) : program_(program), facts_(facts_of(program)) { find_borders(); }

std::shared_ptr<GraphModule> WayBack::build() {
  for (const int32_t index : program_.inputs) {
    const Tensor& tensor = at(index);
    Node* node = graph().placeholder(plain_name(tensor.name));
    const bool is_float = integer::grid_of(tensor).has_value();
    node->set_meta(TensorMeta{is_float ? at::kFloat : scalar_type_of(tensor), graph_sizes(tensor)});
    values_[index] = on_grid(node, tensor);
  }
  for (const Operator& op : program_.operators) {
    op_ = &op;
    const WayBackRow* row = way_back_table().find(op.code);
    if (row == nullptr || !row->translate) refuse("octet does not read it");
    row->translate(*this);
  }
  std::vector<Arg> results;
  for (const int32_t index : program_.outputs) results.emplace_back(values_.at(index));
  graph().output(results);
  propagate_shapes(*module_);
  return module_;
}

std::vector<int64_t> WayBack::integers(size_t i) const { return integers_of(input(i).data); }

// What the program transposes at once, or at last, is an image as the graph has it already.
void WayBack::find_borders() {
  for (const auto* border : {&program_.inputs, &program_.outputs}) {
    for (const int32_t index : *border) {
      const bool transposed_only =
          std::all_of(program_.operators.begin(), program_.operators.end(), [&](const Operator& op) {
            const bool touches = std::find(op.inputs.begin(), op.inputs.end(), index) != op.inputs.end() ||
                                 std::find(op.outputs.begin(), op.outputs.end(), index) != op.outputs.end();
            return !touches || op.code == OpCode::kTranspose;
          });
      if (transposed_only) borders_.insert(&at(index));
    }
  }
}

std::vector<int64_t> WayBack::graph_sizes(const Tensor& tensor) const {
  return is_image(tensor) ? reordered(tensor.shape, to_channels_first(4)) : tensor.shape;
}

int64_t WayBack::graph_axis(int64_t axis, const Tensor& tensor) const {
  const auto rank = static_cast<int64_t>(tensor.shape.size());
  if (axis < 0) axis += rank;
  if (!is_image(tensor) || axis == 0) return axis;
  return axis == 3 ? 1 : axis + 1;
}

void WayBack::refuse(const std::string& why) const {
  throw Error(octet::str(tflite::op_name(op_->code), " '", output().name, "'"),
              octet::str("has no counterpart among PyTorch's operators: ", why));
}

Node* WayBack::call(const std::string& op, std::vector<Arg> args, NamedArgs named) {
  Node* node = graph().call(op, std::move(args), std::move(named), plain_name(output().name));
  note_source(*node);
  return node;
}

void WayBack::note_source(Node& node) const {
  if (output().type == Type::kFloat32) node.notes()[kInFloatNote] = true;
  if (!facts_) return;
  const OperatorSource& source = facts_->operators.at(static_cast<size_t>(op_ - program_.operators.data()));
  if (source.op.empty()) return;
  node.notes()[kPartOfNodeNote] = source.node;
  node.notes()[kPartOfOpNote] = source.op;
}

Node* WayBack::on_grid(Node* node, const Tensor& tensor) {
  if (!integer::is_level_type(tensor.type)) return node;
  const std::optional<integer::Grid> grid = integer::grid_of(tensor);
  if (!grid) {
    throw expected(tensor.name, "grid", "one scale", octet::str(tensor.quantization.scale.size(), " scales"));
  }
  std::vector<Arg> args = {node,
                           static_cast<double>(grid->scale),
                           grid->zero_point,
                           grid->range.low,
                           grid->range.high,
                           scalar_type_of(tensor)};
  args[0] = graph().call("quantized_decomposed.quantize_per_tensor.default", args);
  return graph().call("quantized_decomposed.dequantize_per_tensor.default", args);
}

Node* WayBack::constant(size_t i, const Ints& order, const Ints& shape) {
  const std::string& source = input(i).name;
  ConstantData tensor{input(i).type, input(i).shape, input(i).quantization, input(i).data};
  if (!order.empty()) tensor = permuted(tensor, order);
  if (!shape.empty()) tensor.shape = shape;
  at::Tensor values = at::empty(tensor.shape, scalar_type_of(input(i)));
  if (values.nbytes() != tensor.data.size())
    throw expected(source, "bytes", octet::str(values.nbytes()), octet::str(tensor.data.size()));
  if (!tensor.data.empty()) std::memcpy(values.data_ptr(), tensor.data.data(), tensor.data.size());
  const std::string name = module_->free_name(plain_name(source));
  module_->set_attr(name, values, AttrKind::kBuffer);
  Node* node = graph().get_attr(name);
  const auto& grid = tensor.quantization;
  if (grid.scale.empty() || tensor.type == Type::kFloat32) return node;
  auto [low, high] = *tflite::level_range(tensor.type);
  if (tensor.type == Type::kInt32) low = -high;  // a bias, as quantizers bound it
  const at::ScalarType type = scalar_type_of(input(i));
  if (grid.scale.size() == 1) {
    return graph().call("quantized_decomposed.dequantize_per_tensor.default",
                        {node, static_cast<double>(grid.scale[0]), grid.zero_point[0], low, high, type});
  }
  module_->set_attr(name + "_scale", at::tensor(at::ArrayRef<float>(grid.scale)), AttrKind::kBuffer);
  module_->set_attr(name + "_zero_point", at::tensor(at::ArrayRef<int64_t>(grid.zero_point)), AttrKind::kBuffer);
  return graph().call("quantized_decomposed.dequantize_per_channel.default",
                      {node, graph().get_attr(name + "_scale"), graph().get_attr(name + "_zero_point"),
                       static_cast<int64_t>(grid.axis), low, high, type});
}

Node* WayBack::value(size_t i) {
  const int32_t index = op_->inputs.at(i);
  if (!at(index).is_constant) return values_.at(index);
  return constant(i, is_image(at(index)) ? to_channels_first(4) : Ints{});
}

void WayBack::give(Node* node) {
  switch (op_->options.activation) {
    case tflite::Activation::kNone:
      break;
    case tflite::Activation::kRelu:
      node = call("aten.relu.default", {node});
      break;
    case tflite::Activation::kRelu6:
      node = call("aten.hardtanh.default", {node, 0.0, 6.0});
      break;
    case tflite::Activation::kReluN1To1:
      node = call("aten.hardtanh.default", {node, -1.0, 1.0});
      break;
  }
  values_[op_->outputs.front()] = on_grid(node, output());
}

Node* WayBack::as_it_lies(Node* node, const Tensor& tensor) {
  const bool moves = tensor.shape[3] != 1 && tensor.shape[1] * tensor.shape[2] != 1;
  if (moves) return call("aten.permute.default", {node, to_channels_last(4)});
  return call("aten.reshape.default", {node, tensor.shape});
}

Node* WayBack::from_nhwc(Node* node) {
  const Ints& shape = output().shape;
  if (shape[3] == 1 || shape[1] * shape[2] == 1) return call("aten.reshape.default", {node, graph_sizes(output())});
  return call("aten.permute.default", {on_grid(node, output()), to_channels_first(4)});
}

}  // namespace lowering

std::shared_ptr<GraphModule> graph_of(const tflite::Model& program) {
  tflite::check(program);
  return lowering::WayBack(program).build();
}

}  // namespace octet
