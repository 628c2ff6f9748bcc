#include "octet/lowering/program_graph.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "octet/formats/guard.h"
#include "octet/integer/executor.h"
#include "octet/integer/folded.h"
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

// TFLite's converter joins the names of all that became one operator by semicolons: the first is the last of them.
std::string plain_name(const std::string& name) {
  std::string text = name.substr(0, name.find(';'));
  if (text.empty()) text = "value";
  if (std::isdigit(static_cast<unsigned char>(text.front())) != 0) text.insert(0, "t");
  for (char& each : text) {
    if (std::isalnum(static_cast<unsigned char>(each)) == 0) each = '_';
  }
  return text;
}

// The same value by one permutation of what stands in front of those that give the node.
std::pair<Node*, Ints> before_permutes(Node* node, Ints order) {
  if (!node->is_call("aten.permute.default")) return {node, std::move(order)};
  return {node->arg(size_t{0}).node(), reordered(node->arg(size_t{1}).to_ints(), order)};
}

}  // namespace

// float16 is of constants alone, which are floats by now.
at::ScalarType scalar_type_of(const Tensor& tensor) {
  if (tensor.type == Type::kFloat16) {
    throw expected(tensor.name, "type", "levels, whole numbers, bool or float32", tflite::type_name(tensor.type));
  }
  return integer::scalar_type(tensor.type);
}

WayBack::WayBack(const tflite::Model& program, GraphUse use) : use_(use), facts_(facts_of(program)) {
  integer::Folded folded = integer::folded(program);
  program_ = std::move(folded.program);
  if (facts_) {
    std::vector<OperatorSource> kept;
    for (const size_t place : folded.kept) kept.push_back(facts_->operators[place]);
    facts_->operators = std::move(kept);
  }
  for (const Tensor& tensor : program_.tensors) {
    if (!tensor.is_constant) names_.insert(plain_name(tensor.name));
  }
  // What octet wrote has the images that its graph had; of others all that could be one counts.
  if (use_ == GraphUse::kModel || facts_) {
    find_images_by_need();
  } else {
    find_images();
  }
}

std::shared_ptr<GraphModule> WayBack::build() {
  for (const int32_t index : program_.inputs) place_input(index);
  for (const Operator& op : program_.operators) {
    op_ = &op;
    const WayBackRow* row = way_back_table().find(op.code);
    if (row == nullptr || !row->translate) refuse("octet does not read it");
    try {
      row->translate(*this);
    } catch (const std::out_of_range&) {
      refuse("its tensors do not have the dimensions that it works on");
    }
  }
  std::vector<Arg> results;
  for (const int32_t index : program_.outputs) results.emplace_back(result(index));
  graph().output(results);
  std::map<int32_t, int64_t> ids;  // of the values' nodes, some of which nobody reads
  for (const auto& [index, node] : values_) ids[index] = node->id();
  graph().eliminate_dead_code();
  module_->erase_unused();
  propagate_shapes(*module_);
  if (use_ == GraphUse::kModel) require_shapes(ids);
  return module_;
}

void WayBack::place_input(int32_t index) {
  const Tensor& tensor = at(index);
  const bool is_turned = use_ == GraphUse::kModel && is_image(tensor);
  Node* node = graph().placeholder(plain_name(tensor.name));
  const bool is_float = integer::grid_of(tensor).has_value();
  node->set_meta(TensorMeta{is_float ? at::kFloat : scalar_type_of(tensor),
                            use_ == GraphUse::kModel ? tensor.shape : graph_sizes(tensor)});
  node = on_grid(node, tensor);
  if (is_turned) {
    node =
        on_grid(graph().call("aten.permute.default", {node, to_channels_first(4)}, {}, node->name() + "_nchw"), tensor);
  }
  values_[index] = node;
}

Node* WayBack::result(int32_t index) {
  const Tensor& tensor = at(index);
  if (tensor.is_constant) {
    if (integer::is_level_type(tensor.type) && !tensor.quantization.scale.empty()) {
      throw Error("output '" + tensor.name + "'", "is a constant").hint("leave it out of the model");
    }
    return graph().get_attr(attribute(index, {}, {}));
  }
  Node* node = values_.at(index);
  if (use_ == GraphUse::kPlacement || !is_image(tensor)) return node;
  const auto [source, order] = before_permutes(node, to_channels_last(4));
  if (std::is_sorted(order.begin(), order.end())) return source;
  return on_grid(graph().call("aten.permute.default", {source, order}, {}, plain_name(tensor.name) + "_nhwc"), tensor);
}

// What the program says of its values and what the graph computes are of one shape.
void WayBack::require_shapes(const std::map<int32_t, int64_t>& ids) const {
  for (const auto& [index, id] : ids) {
    const Node* node = module_->graph().node(id);
    if (node == nullptr || !node->meta()) continue;
    const std::vector<int64_t> wanted = graph_sizes(at(index));
    const auto text = [](const std::vector<int64_t>& sizes) { return octet::str("[", join(", ", sizes), "]"); };
    if (node->sizes() != wanted) throw expected(node->where(), "shape", text(wanted), text(node->sizes()));
  }
}

std::vector<int64_t> WayBack::integers(size_t i) const {
  const Tensor& tensor = input(i);
  if (!tensor.is_constant) refuse(octet::str("its input ", i, ", '", tensor.name, "', is computed by the program"));
  if (tensor.type == Type::kInt32) return integers_of(tensor.data);
  if (tensor.type != Type::kInt64) {
    throw expected(octet::str(tflite::op_name(op_->code), " '", output().name, "'"), octet::str("type of input ", i),
                   "int32", tflite::type_name(tensor.type));
  }
  std::vector<int64_t> values(tensor.data.size() / sizeof(int64_t));
  if (!values.empty()) std::memcpy(values.data(), tensor.data.data(), values.size() * sizeof(int64_t));
  return values;
}

// What the program transposes at once, or at last, is an image as the graph has it already.
std::set<const Tensor*> WayBack::borders() const {
  std::set<const Tensor*> found;
  for (const auto* border : {&program_.inputs, &program_.outputs}) {
    for (const int32_t index : *border) {
      const bool transposed_only =
          std::all_of(program_.operators.begin(), program_.operators.end(), [&](const Operator& op) {
            const bool touches = std::find(op.inputs.begin(), op.inputs.end(), index) != op.inputs.end() ||
                                 std::find(op.outputs.begin(), op.outputs.end(), index) != op.outputs.end();
            return !touches || op.code == OpCode::kTranspose;
          });
      if (transposed_only) found.insert(&at(index));
    }
  }
  return found;
}

void WayBack::find_images() {
  const std::set<const Tensor*> as_they_are = borders();
  for (const Tensor& tensor : program_.tensors) {
    if (tensor.shape.size() == 4 && !tensor.is_constant && as_they_are.count(&tensor) == 0) images_.insert(&tensor);
  }
}

// What operators on images read and write, and what stands beside it where an operator gives all its values one order.
void WayBack::find_images_by_need() {
  std::map<const Tensor*, std::vector<const Operator*>> joins;  // operators that give an image's order on
  std::vector<const Tensor*> open;
  const auto mark = [&](int32_t index) {
    if (index < 0 || at(index).is_constant || at(index).shape.size() != 4) return;
    if (images_.insert(&at(index)).second) open.push_back(&at(index));
  };
  for (const Operator& op : program_.operators) {
    const WayBackRow* row = way_back_table().find(op.code);
    if (row == nullptr || row->layout == ImageLayout::kEnds) continue;
    const bool drops = op.code == OpCode::kStridedSlice && op.options.masks.shrink_axis != 0;
    if (row->layout == ImageLayout::kNeeds) {
      for (const int32_t index : op.inputs) mark(index);
      for (const int32_t index : op.outputs) mark(index);
    } else if (!drops && at(op.outputs[0]).shape.size() == 4) {
      for (const auto* indices : {&op.inputs, &op.outputs}) {
        for (const int32_t index : *indices) {
          if (index >= 0) joins[&at(index)].push_back(&op);
        }
      }
    }
  }
  while (!open.empty()) {
    const auto found = joins.find(open.back());
    open.pop_back();
    if (found == joins.end()) continue;
    const std::vector<const Operator*> operators = std::move(found->second);
    joins.erase(found);
    for (const Operator* op : operators) {
      for (const int32_t index : op->inputs) mark(index);
      for (const int32_t index : op->outputs) mark(index);
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
              octet::str("has no counterpart among PyTorch's operators: ", why))
      .hint("write it with other operators in the model, or cut the model there");
}

Node* WayBack::call_named(const std::string& name, const std::string& op, std::vector<Arg> args, NamedArgs named) {
  Node* node = graph().call(op, std::move(args), std::move(named), name);
  note_source(*node);
  return node;
}

Node* WayBack::call(const std::string& op, std::vector<Arg> args, NamedArgs named) {
  if (op_->options.activation != tflite::Activation::kNone) return step(op, std::move(args));
  return call_named(plain_name(output().name), op, std::move(args), std::move(named));
}

Node* WayBack::step(const std::string& op, std::vector<Arg> args) {
  const std::string name = octet::str(plain_name(output().name), "_", Op::find(op).short_name());
  return call_named(name, op, std::move(args));
}

void WayBack::note_source(Node& node) const {
  if (use_ == GraphUse::kModel) return;
  if (!integer::grid_of(output())) node.notes()[kInFloatNote] = true;
  if (!facts_) return;
  const OperatorSource& source = facts_->operators.at(static_cast<size_t>(op_ - program_.operators.data()));
  if (source.op.empty()) return;
  node.notes()[kPartOfNodeNote] = source.node;
  node.notes()[kPartOfOpNote] = source.op;
}

Node* WayBack::on_grid(Node* node, const Tensor& tensor) {
  const bool is_plain = tensor.type == Type::kUInt8 && tensor.quantization.scale.empty();  // pixels, as they came
  if (!integer::is_level_type(tensor.type) || is_plain) return node;
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
  // Of a move that the graph does without, the value has the grid already.
  if (node->is_call("quantized_decomposed.dequantize_per_tensor.default") && node->arg(1).to_double() == grid->scale &&
      node->arg(2).to_int() == grid->zero_point && node->arg(3).to_int() == grid->range.low &&
      node->arg(4).to_int() == grid->range.high) {
    return node;
  }
  args[0] = graph().call("quantized_decomposed.quantize_per_tensor.default", args);
  return graph().call("quantized_decomposed.dequantize_per_tensor.default", args);
}

const std::string& WayBack::attribute(int32_t index, const Ints& order, const Ints& shape) {
  std::string& name = attributes_[{index, order, shape}];
  if (!name.empty()) return name;
  const Tensor& source = at(index);
  ConstantData tensor{source.type, source.shape, source.quantization, source.data};
  if (!order.empty()) tensor = lowering::permuted(tensor, order);
  if (!shape.empty()) tensor.shape = shape;
  at::Tensor values = at::empty(tensor.shape, scalar_type_of(source));
  if (values.nbytes() != tensor.data.size())
    throw expected(source.name, "bytes", octet::str(values.nbytes()), octet::str(tensor.data.size()));
  if (!tensor.data.empty()) std::memcpy(values.data_ptr(), tensor.data.data(), tensor.data.size());
  // A single number is a factor or an offset that somebody wrote down.
  const bool learns = use_ == GraphUse::kModel && source.type == Type::kFloat32 && values.numel() > 1;
  const std::string plain = plain_name(source.name);
  name = module_->free_name(names_.count(plain) == 0 ? plain : plain + "_constant");
  module_->set_attr(name, learns ? values.set_requires_grad(true) : values,
                    learns ? AttrKind::kParameter : AttrKind::kBuffer);
  const auto& grid = tensor.quantization;
  if (grid.scale.size() > 1) {
    module_->set_attr(name + "_scale", at::tensor(at::ArrayRef<float>(grid.scale)), AttrKind::kBuffer);
    module_->set_attr(name + "_zero_point", at::tensor(at::ArrayRef<int64_t>(grid.zero_point)), AttrKind::kBuffer);
  }
  return name;
}

Node* WayBack::constant(size_t i, const Ints& order, const Ints& shape) {
  const Tensor& tensor = input(i);
  if (!tensor.is_constant) refuse(octet::str("its input ", i, ", '", tensor.name, "', is computed by the program"));
  if (!order.empty() && order.size() != tensor.shape.size()) {
    refuse(octet::str("its input ", i, " has ", tensor.shape.size(), " dimensions, not ", order.size()));
  }
  const std::string name = attribute(op_->inputs.at(i), order, shape);
  Node* node = graph().get_attr(name);
  const auto& grid = tensor.quantization;
  if (grid.scale.empty() || tensor.type == Type::kFloat32) return node;
  auto [low, high] = *tflite::level_range(tensor.type);
  if (tensor.type == Type::kInt32) low = -high;  // a bias, as quantizers bound it
  const at::ScalarType type = scalar_type_of(tensor);
  if (grid.scale.size() == 1) {
    return graph().call("quantized_decomposed.dequantize_per_tensor.default",
                        {node, static_cast<double>(grid.scale[0]), grid.zero_point[0], low, high, type});
  }
  const auto moved = std::find(order.begin(), order.end(), int64_t{grid.axis});
  const int64_t axis = order.empty() ? int64_t{grid.axis} : moved - order.begin();
  return graph().call(
      "quantized_decomposed.dequantize_per_channel.default",
      {node, graph().get_attr(name + "_scale"), graph().get_attr(name + "_zero_point"), axis, low, high, type});
}

Node* WayBack::made_constant(const std::string& name, const at::Tensor& values) {
  const std::string attr = module_->free_name(plain_name(output().name) + "_" + name);
  module_->set_attr(attr, values, AttrKind::kBuffer);
  return graph().get_attr(attr);
}

Node* WayBack::value(size_t i) {
  const int32_t index = op_->inputs.at(i);
  if (!at(index).is_constant) return values_.at(index);
  const bool turns = at(index).shape.size() == 4 && is_image(output());
  return constant(i, turns ? to_channels_first(4) : Ints{});
}

Node* WayBack::plain_value(size_t i) {
  if (input(i).is_constant) return constant(i);
  Node* node = value(i);
  return is_image(input(i)) ? on_grid(as_it_lies(node, input(i)), input(i)) : node;
}

Node* WayBack::element(Node* node, size_t index) {
  Node* element = graph().get_item(node, static_cast<int64_t>(index), plain_name(at(op_->outputs.at(index)).name));
  note_source(*element);
  return element;
}

void WayBack::set_plain(size_t output, Node* node) {
  const Tensor& tensor = at(op_->outputs.at(output));
  if (is_image(tensor) && integer::grid_of(tensor)) refuse("several results on grids, of which one is an image");
  values_[op_->outputs[output]] = on_grid(is_image(tensor) ? from_nhwc(node) : node, tensor);
}

void WayBack::give_plain(Node* node) { give(is_image(output()) ? from_nhwc(node) : node); }

void WayBack::give(Node* node) {
  switch (op_->options.activation) {
    case tflite::Activation::kNone:
      break;
    case tflite::Activation::kRelu:
      node = call_named(plain_name(output().name), "aten.relu.default", {node});
      break;
    case tflite::Activation::kRelu6:
      node = call_named(plain_name(output().name), "aten.hardtanh.default", {node, 0.0, 6.0});
      break;
    case tflite::Activation::kReluN1To1:
      node = call_named(plain_name(output().name), "aten.hardtanh.default", {node, -1.0, 1.0});
      break;
  }
  values_[op_->outputs.front()] = on_grid(node, output());
}

Node* WayBack::permuted(Node* node, const Ints& order) {
  const auto [source, whole] = before_permutes(node, order);
  if (std::is_sorted(whole.begin(), whole.end())) return source;
  return call("aten.permute.default", {source, whole});
}

Node* WayBack::as_it_lies(Node* node, const Tensor& tensor) {
  const bool moves = tensor.shape[3] != 1 && tensor.shape[1] * tensor.shape[2] != 1;
  if (moves) {
    const auto [source, order] = before_permutes(node, to_channels_last(4));
    return std::is_sorted(order.begin(), order.end()) ? source : step("aten.permute.default", {source, order});
  }
  return step("aten.reshape.default", {node, tensor.shape});
}

Node* WayBack::from_nhwc(Node* node) {
  const Ints& shape = output().shape;
  if (shape[3] == 1 || shape[1] * shape[2] == 1) return call("aten.reshape.default", {node, graph_sizes(output())});
  return permuted(on_grid(node, output()), to_channels_first(4));
}

}  // namespace lowering

std::shared_ptr<GraphModule> graph_of(const tflite::Model& program) {
  return lowering::WayBack(program, lowering::GraphUse::kPlacement).build();
}

std::shared_ptr<GraphModule> model_of(const tflite::Model& program) {
  const auto model = lowering::WayBack(program, lowering::GraphUse::kModel).build();
  model->facts()["source"] = "tflite";
  return model;
}

std::shared_ptr<GraphModule> load_tflite(const std::string& path) {
  return in_category(ErrorCategory::kFile, [&] {
    const tflite::Model program = tflite::read(path);
    return guard_loading(path, [&] { return model_of(program); });
  });
}

}  // namespace octet
