#include "octet/lowering/program_graph.h"

#include <ATen/Functions.h>

#include <array>
#include <cstring>
#include <numeric>
#include <set>

#include "octet/formats/tflite_padding.h"
#include "octet/integer/executor.h"
#include "octet/integer/grid.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/layout.h"
#include "octet/support/error.h"

namespace octet {

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

class GraphBuilder {
 public:
  explicit GraphBuilder(const tflite::Model& program) : program_(program) { find_borders(); }

  std::shared_ptr<GraphModule> build() {
    for (const int32_t index : program_.inputs) {
      const Tensor& tensor = at(index);
      Node* node = graph().placeholder(plain_name(tensor.name));
      const bool is_float = integer::grid_of(tensor).has_value();
      node->set_meta(TensorMeta{is_float ? at::kFloat : scalar_type_of(tensor), graph_sizes(tensor)});
      values_[index] = on_grid(node, tensor);
    }
    for (const Operator& op : program_.operators) {
      op_ = &op;
      translate();
    }
    std::vector<Arg> results;
    for (const int32_t index : program_.outputs) results.emplace_back(values_.at(index));
    graph().output(results);
    propagate_shapes(*module_);
    return module_;
  }

 private:
  Graph& graph() { return module_->graph(); }
  const Tensor& at(int32_t index) const { return program_.tensors[static_cast<size_t>(index)]; }
  const Tensor& input(size_t i) const { return at(op_->inputs.at(i)); }
  const Tensor& output() const { return at(op_->outputs.front()); }
  bool has_input(size_t i) const { return i < op_->inputs.size() && op_->inputs[i] >= 0; }
  Ints integers(size_t i) const { return lowering::integers_of(input(i).data); }
  bool is_image(const Tensor& tensor) const { return tensor.shape.size() == 4 && borders_.count(&tensor) == 0; }

  // What the program transposes at once, or at last, is an image as the graph has it already.
  void find_borders() {
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

  Ints graph_sizes(const Tensor& tensor) const {
    return is_image(tensor) ? lowering::reordered(tensor.shape, lowering::to_channels_first(4)) : tensor.shape;
  }

  // A program's axis as the graph's.
  int64_t graph_axis(int64_t axis, const Tensor& tensor) const {
    const auto rank = static_cast<int64_t>(tensor.shape.size());
    if (axis < 0) axis += rank;
    if (!is_image(tensor) || axis == 0) return axis;
    return axis == 3 ? 1 : axis + 1;
  }

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(octet::str(tflite::op_name(op_->code), " '", output().name, "'"),
                octet::str("has no counterpart among PyTorch's operators: ", why));
  }

  Node* call(const std::string& op, std::vector<Arg> args, NamedArgs named = {}) {
    return graph().call(op, std::move(args), std::move(named), plain_name(output().name));
  }

  // The value behind a quantize and a dequantize, where the tensor has a grid.
  Node* on_grid(Node* node, const Tensor& tensor) {
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

  // A constant with its axes in another order (empty: as they are), behind a dequantize where it has a grid.
  Node* constant(size_t i, const Ints& order = {}, const Ints& shape = {}) {
    const std::string& source = input(i).name;
    lowering::ConstantData tensor{input(i).type, input(i).shape, input(i).quantization, input(i).data};
    if (!order.empty()) tensor = lowering::permuted(tensor, order);
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

  // An activation, or a constant in the graph's order of axes.
  Node* value(size_t i) {
    const int32_t index = op_->inputs.at(i);
    if (!at(index).is_constant) return values_.at(index);
    return constant(i, is_image(at(index)) ? lowering::to_channels_first(4) : Ints{});
  }

  // The operator's result, behind the activation that is computed with it.
  void give(Node* node) {
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

  // Padding above and left, below and right.
  struct Sides {
    std::array<int64_t, 2> before{}, after{};
    bool is_even() const { return before == after; }
  };

  Sides sides(const std::array<int64_t, 2>& kernel) const {
    Sides found;
    if (op_->options.padding == tflite::Padding::kValid) return found;
    const std::array<int64_t, 2> stride = {op_->options.stride_h, op_->options.stride_w};
    const std::array<int64_t, 2> dilation = {op_->options.dilation_h, op_->options.dilation_w};
    for (size_t d = 0; d < 2; ++d) {
      const auto by = tflite::same_padding(input(0).shape[d + 1], output().shape[d + 1],
                                           tflite::window_reach(kernel[d], dilation[d]), stride[d]);
      found.before[d] = by.before;
      found.after[d] = by.after;
    }
    return found;
  }

  Node* padded(Node* image, const Sides& by, double fill) {
    Node* node = call("aten.pad.default", {image, Ints{by.before[1], by.after[1], by.before[0], by.after[0]},
                                           std::string("constant"), fill});
    return on_grid(node, input(0));
  }

  void convolution(bool is_depthwise) {
    const Tensor& weight = input(1);
    const Sides by = sides({weight.shape.at(1), weight.shape.at(2)});
    Node* image = value(0);
    Ints padding = {by.before[0], by.before[1]};
    if (!by.is_even()) {
      image = padded(image, by, 0.0);
      padding = {0, 0};
    }
    const int64_t groups = is_depthwise ? input(0).shape.at(3) : input(0).shape.at(3) / weight.shape.at(3);
    Node* filters = constant(1, is_depthwise ? Ints{3, 0, 1, 2} : Ints{0, 3, 1, 2});
    give(call("aten.conv2d.default", {image, filters, has_input(2) ? Arg(constant(2)) : Arg(),
                                      Ints{op_->options.stride_h, op_->options.stride_w}, padding,
                                      Ints{op_->options.dilation_h, op_->options.dilation_w}, groups}));
  }

  void transposed_convolution() {
    const Tensor& weight = input(1);
    const Tensor& image = input(2);
    Ints padding, more;
    for (size_t d = 0; d < 2; ++d) {
      const int64_t stride = d == 0 ? op_->options.stride_h : op_->options.stride_w;
      const int64_t full = (image.shape.at(d + 1) - 1) * stride + weight.shape.at(d + 1);
      const int64_t cut = full - output().shape.at(d + 1);
      if (cut > 0 && cut % 2 != 0) refuse("a padding that is not the same on both sides");
      padding.push_back(std::max<int64_t>(cut, 0) / 2);
      more.push_back(std::max<int64_t>(-cut, 0));
    }
    give(call("aten.conv_transpose2d.input",
              {value(2), constant(1, {3, 0, 1, 2}), has_input(3) ? Arg(constant(3)) : Arg(),
               Ints{op_->options.stride_h, op_->options.stride_w}, padding, more}));
  }

  void fully_connected() {
    Node* x = value(0);
    if (is_image(input(0))) x = on_grid(as_it_lies(x, input(0)), input(0));
    const int64_t depth = input(1).shape.at(1);
    if (input(0).shape.empty() || input(0).shape.back() != depth ||
        (!op_->options.keep_num_dims && input(0).shape.size() > 2)) {
      x = on_grid(call("aten.reshape.default", {x, Ints{input(0).numel() / std::max<int64_t>(depth, 1), depth}}),
                  input(0));
    }
    Node* weight = input(1).is_constant ? constant(1) : value(1);
    Node* product = call("aten.linear.default", {x, weight, has_input(2) ? Arg(constant(2)) : Arg()});
    if (is_image(output())) product = from_nhwc(product);
    give(product);
  }

  void matmul() {
    const auto factor = [&](size_t i, bool turned) {
      Node* node = value(i);
      if (is_image(input(i))) node = on_grid(as_it_lies(node, input(i)), input(i));
      return turned ? on_grid(call("aten.transpose.int", {node, int64_t{-2}, int64_t{-1}}), input(i)) : node;
    };
    Node* left = factor(0, op_->options.adj_x);
    Node* right = factor(1, op_->options.adj_y);
    Node* product = call(output().shape.size() == 3 ? "aten.bmm.default" : "aten.matmul.default", {left, right});
    give(is_image(output()) ? from_nhwc(product) : product);
  }

  void pool(bool is_max) {
    const std::array<int64_t, 2> kernel = {op_->options.filter_h, op_->options.filter_w};
    const Sides by = sides(kernel);
    Node* image = value(0);
    Ints padding = {by.before[0], by.before[1]};
    if (!by.is_even()) {
      if (!is_max) refuse("an average with a padding that is not the same on both sides");
      const std::optional<integer::Grid> grid = integer::grid_of(input(0));
      const double lowest =
          grid ? static_cast<double>(grid->scale) * static_cast<double>(grid->range.low - grid->zero_point)
               : -std::numeric_limits<double>::infinity();
      image = padded(image, by, lowest);
      padding = {0, 0};
    }
    std::vector<Arg> args = {image, Ints{kernel[0], kernel[1]}, Ints{op_->options.stride_h, op_->options.stride_w},
                             padding};
    if (!is_max) {
      args.emplace_back(false);                  // ceil_mode
      args.emplace_back(padding == Ints{0, 0});  // SAME divides by what lies in the image
    }
    give(call(is_max ? "aten.max_pool2d.default" : "aten.avg_pool2d.default", args));
  }

  void reduction(const std::string& op) {
    Ints dims, rest;
    const auto rank = static_cast<int64_t>(input(0).shape.size());
    Ints axes = integers(1);
    for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
    for (const int64_t axis : axes) dims.push_back(graph_axis(axis, input(0)));
    Node* node = call(op, {value(0), dims, op_->options.keep_dims});
    if (!op_->options.keep_dims && is_image(input(0))) {
      // What is left, in the program's order.
      Ints left;
      for (int64_t axis = 0; axis < rank; ++axis) {
        if (std::find(axes.begin(), axes.end(), axis) == axes.end()) left.push_back(graph_axis(axis, input(0)));
      }
      Ints sorted = left, order;
      std::sort(sorted.begin(), sorted.end());
      for (const int64_t axis : left) order.push_back(std::find(sorted.begin(), sorted.end(), axis) - sorted.begin());
      if (left != sorted) node = call("aten.permute.default", {on_grid(node, output()), order});
    }
    give(node);
  }

  // An image's elements in the order in which the program has them, without and with its sizes.
  Node* as_it_lies(Node* node, const Tensor& tensor) {
    const bool moves = tensor.shape[3] != 1 && tensor.shape[1] * tensor.shape[2] != 1;
    if (moves) return call("aten.permute.default", {node, lowering::to_channels_last(4)});
    return call("aten.reshape.default", {node, tensor.shape});
  }
  Node* from_nhwc(Node* node) {
    const Ints& shape = output().shape;
    if (shape[3] == 1 || shape[1] * shape[2] == 1) return call("aten.reshape.default", {node, graph_sizes(output())});
    return call("aten.permute.default", {on_grid(node, output()), lowering::to_channels_first(4)});
  }

  void reshape() {
    Node* node = value(0);
    const bool from_image = is_image(input(0));
    if (from_image && input(0).shape[3] != 1 && input(0).shape[1] * input(0).shape[2] != 1) {
      node = on_grid(as_it_lies(node, input(0)), input(0));
    }
    if (!is_image(output())) {
      give(call("aten.reshape.default", {node, output().shape}));
      return;
    }
    const Ints& shape = output().shape;
    if (shape[3] == 1 || shape[1] * shape[2] == 1) {
      give(call("aten.reshape.default", {node, graph_sizes(output())}));
    } else {
      give(from_nhwc(call("aten.reshape.default", {node, shape})));
    }
  }

  void transpose() {
    const Ints moved = integers(1);
    Ints axes(moved.size()), order;
    std::iota(axes.begin(), axes.end(), 0);
    if (is_image(output())) axes = lowering::to_channels_first(4);
    // graph's axis of the result -> program's axis of the result -> program's axis of the input -> graph's
    for (const int64_t axis : axes) order.push_back(graph_axis(moved.at(static_cast<size_t>(axis)), input(0)));
    give(call("aten.permute.default", {value(0), order}));
  }

  void pad() {
    const Ints paddings = integers(1);
    const size_t rank = input(0).shape.size();
    Ints by(2 * rank, 0);  // from the last axis on, as PyTorch counts
    for (size_t axis = 0; axis < rank; ++axis) {
      const auto place = rank - 1 - static_cast<size_t>(graph_axis(static_cast<int64_t>(axis), input(0)));
      by[2 * place] = paddings.at(2 * axis);
      by[2 * place + 1] = paddings.at(2 * axis + 1);
    }
    while (by.size() > 2 && by[by.size() - 1] == 0 && by[by.size() - 2] == 0) by.resize(by.size() - 2);
    if (op_->code == OpCode::kMirrorPad) {
      if (op_->options.mirror_mode != 0) refuse("symmetric padding");
      give(call("aten.pad.default", {value(0), by, std::string("reflect")}));
      return;
    }
    double fill = 0.0;
    if (op_->code == OpCode::kPadV2) {
      const Tensor& constant = input(2);
      if (constant.data.empty()) refuse("a padding that is computed");
      if (constant.type == Type::kInt8) {
        fill = static_cast<double>(constant.quantization.scale.at(0)) *
               static_cast<double>(static_cast<int8_t>(constant.data[0]) - constant.quantization.zero_point.at(0));
      } else if (constant.data.size() >= sizeof(float)) {
        float number = 0.0F;
        std::memcpy(&number, constant.data.data(), sizeof number);
        fill = number;
      }
    }
    give(call("aten.pad.default", {value(0), by, std::string("constant"), fill}));
  }

  Node* sliced(Node* node, const Tensor& tensor, const Ints& begin, const Ints& end) {
    for (size_t axis = 0; axis < begin.size(); ++axis) {
      if (begin[axis] == 0 && end[axis] == tensor.shape[axis]) continue;
      node = on_grid(
          call("aten.slice.Tensor", {node, graph_axis(static_cast<int64_t>(axis), tensor), begin[axis], end[axis]}),
          tensor);
    }
    return node;
  }

  void slice() {
    const Ints begin = integers(1);
    Ints end = integers(2);
    for (size_t axis = 0; axis < end.size(); ++axis) {
      end[axis] = end[axis] < 0 ? input(0).shape.at(axis) : begin.at(axis) + end[axis];
    }
    values_[op_->outputs.front()] = sliced(value(0), input(0), begin, end);
  }

  void split(size_t image, int64_t axis) {
    const auto place = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(input(image).shape.size()) : axis);
    Ints begin(input(image).shape.size(), 0), end = input(image).shape;
    end.at(place) = 0;
    for (const int32_t part : op_->outputs) {
      begin[place] = end[place];
      end[place] += at(part).shape.at(place);
      values_[part] = sliced(value(image), input(image), begin, end);
    }
  }

  void resize(bool is_bilinear) {
    const Ints size = integers(1);
    if (is_bilinear) {
      if (!op_->options.align_corners && !op_->options.half_pixel_centers) refuse("a resize from the corners");
      give(call("aten.upsample_bilinear2d.vec", {value(0), size, op_->options.align_corners, Arg()}));
    } else {
      if (op_->options.align_corners || op_->options.half_pixel_centers) refuse("a resize to the nearest center");
      give(call("aten.upsample_nearest2d.vec", {value(0), size, Arg()}));
    }
  }

  void concatenation() {
    std::vector<Arg> parts;
    for (size_t i = 0; i < op_->inputs.size(); ++i) parts.emplace_back(value(i));
    give(call("aten.cat.default", {parts, graph_axis(op_->options.axis, output())}));
  }

  // Broadcasting follows the program's order of axes: ranks are made equal first.
  void binary(const std::string& op) {
    const auto operand = [&](size_t i) {
      const Tensor& tensor = input(i);
      if (!is_image(output()) || is_image(tensor) || tensor.numel() == 1) return value(i);
      if (!tensor.is_constant) refuse("inputs of different rank");
      Ints shape(4 - tensor.shape.size(), 1);
      shape.insert(shape.end(), tensor.shape.begin(), tensor.shape.end());
      return constant(i, {}, lowering::reordered(shape, lowering::to_channels_first(4)));
    };
    Node* left = operand(0);
    Node* right = operand(1);
    give(call(op, {left, right}));
  }

  void prelu() {
    const Tensor& slopes = input(1);
    if (slopes.numel() != 1 && slopes.numel() != slopes.shape.back()) refuse("slopes that are not one a channel");
    give(call("aten.prelu.default", {value(0), constant(1, {}, {slopes.numel()})}));
  }

  void along_channels(const std::string& op) {
    const auto rank = static_cast<int64_t>(input(0).shape.size());
    give(call(op, {value(0), graph_axis(rank - 1, input(0))}));
  }

  void unary(const std::string& op) { give(call(op, {value(0)})); }

  void translate();

  const tflite::Model& program_;
  const Operator* op_ = nullptr;
  std::shared_ptr<GraphModule> module_ = std::make_shared<GraphModule>();
  std::map<int32_t, Node*> values_;
  std::set<const Tensor*> borders_;
};

void GraphBuilder::translate() {
  switch (op_->code) {
    case OpCode::kConv2d:
      return convolution(false);
    case OpCode::kDepthwiseConv2d:
      return convolution(true);
    case OpCode::kTransposeConv:
      return transposed_convolution();
    case OpCode::kFullyConnected:
      return fully_connected();
    case OpCode::kBatchMatmul:
      return matmul();
    case OpCode::kMaxPool2d:
      return pool(true);
    case OpCode::kAveragePool2d:
      return pool(false);
    case OpCode::kMean:
      return reduction("aten.mean.dim");
    case OpCode::kSum:
      return reduction("aten.sum.dim_IntList");
    case OpCode::kReduceMax:
      return reduction("aten.amax.default");
    case OpCode::kReduceMin:
      return reduction("aten.amin.default");
    case OpCode::kReshape:
    case OpCode::kSqueeze:
    case OpCode::kExpandDims:
      return reshape();
    case OpCode::kTranspose:
      return transpose();
    case OpCode::kPad:
    case OpCode::kPadV2:
    case OpCode::kMirrorPad:
      return pad();
    case OpCode::kSlice:
      return slice();
    case OpCode::kSplit:
      return split(1, integers(0).at(0));
    case OpCode::kSplitV:
      return split(0, integers(2).at(0));
    case OpCode::kResizeBilinear:
      return resize(true);
    case OpCode::kResizeNearestNeighbor:
      return resize(false);
    case OpCode::kConcatenation:
      return concatenation();
    case OpCode::kAdd:
      return binary("aten.add.Tensor");
    case OpCode::kSub:
      return binary("aten.sub.Tensor");
    case OpCode::kMul:
      return binary("aten.mul.Tensor");
    case OpCode::kDiv:
      return binary("aten.div.Tensor");
    case OpCode::kMaximum:
      return binary("aten.maximum.default");
    case OpCode::kMinimum:
      return binary("aten.minimum.default");
    case OpCode::kPrelu:
      return prelu();
    case OpCode::kSoftmax:
      if (op_->options.beta != 1.0F) refuse("a softmax with beta other than 1");
      return along_channels("aten.softmax.int");
    case OpCode::kLogSoftmax:
      return along_channels("aten.log_softmax.int");
    case OpCode::kRelu:
      return unary("aten.relu.default");
    case OpCode::kRelu6:
      return give(call("aten.hardtanh.default", {value(0), 0.0, 6.0}));
    case OpCode::kReluN1To1:
      return give(call("aten.hardtanh.default", {value(0), -1.0, 1.0}));
    case OpCode::kRelu0To1:
      return give(call("aten.hardtanh.default", {value(0), 0.0, 1.0}));
    case OpCode::kLeakyRelu:
      return give(call("aten.leaky_relu.default", {value(0), static_cast<double>(op_->options.alpha)}));
    case OpCode::kGelu:
      return give(call("aten.gelu.default", {value(0)},
                       {{"approximate", Arg(std::string(op_->options.approximate ? "tanh" : "none"))}}));
    case OpCode::kLogistic:
      return unary("aten.sigmoid.default");
    case OpCode::kTanh:
      return unary("aten.tanh.default");
    case OpCode::kHardSwish:
      return unary("aten.hardswish.default");
    case OpCode::kExp:
      return unary("aten.exp.default");
    case OpCode::kLog:
      return unary("aten.log.default");
    case OpCode::kRsqrt:
      return unary("aten.rsqrt.default");
    case OpCode::kSqrt:
      return unary("aten.sqrt.default");
    case OpCode::kAbs:
      return unary("aten.abs.default");
    case OpCode::kNeg:
      return unary("aten.neg.default");
    case OpCode::kQuantize:
      return give(value(0));
    case OpCode::kDequantize:
      values_[op_->outputs.front()] = value(0);
      return;
    default:
      refuse("octet does not read it");
  }
}

}  // namespace

std::shared_ptr<GraphModule> graph_of(const tflite::Model& program) {
  tflite::check(program);
  return GraphBuilder(program).build();
}

}  // namespace octet
