#pragma once

#include <map>
#include <memory>
#include <set>

#include "octet/formats/tflite_table.h"
#include "octet/graph/graph_module.h"
#include "octet/lowering/facts.h"

/// From a program back to a graph: what each operator of `.tflite` becomes (octet/lowering/program_graph.h).
namespace octet::lowering {

/// The graph while it is made, and the operator whose turn it is.
class WayBack {
 public:
  explicit WayBack(const tflite::Model& program);

  std::shared_ptr<GraphModule> build();

  const tflite::Operator& op() const { return *op_; }
  const tflite::Tensor& at(int32_t index) const { return program_.tensors[static_cast<size_t>(index)]; }
  const tflite::Tensor& input(size_t i) const { return at(op_->inputs.at(i)); }
  const tflite::Tensor& output() const { return at(op_->outputs.front()); }
  bool has_input(size_t i) const { return i < op_->inputs.size() && op_->inputs[i] >= 0; }
  /// Elements of an input of indices: axes, sizes.
  std::vector<int64_t> integers(size_t i) const;
  /// True for what is NHWC in the program and NCHW in the graph.
  bool is_image(const tflite::Tensor& tensor) const { return tensor.shape.size() == 4 && borders_.count(&tensor) == 0; }
  std::vector<int64_t> graph_sizes(const tflite::Tensor& tensor) const;
  /// A program's axis as the graph's.
  int64_t graph_axis(int64_t axis, const tflite::Tensor& tensor) const;

  /// An activation, or a constant in the graph's order of axes.
  Node* value(size_t i);
  /// A constant with its axes in another order (empty: as they are), behind a dequantize where it has a grid.
  Node* constant(size_t i, const std::vector<int64_t>& order = {}, const std::vector<int64_t>& shape = {});
  /// A call named as the operator's result.
  Node* call(const std::string& op, std::vector<Arg> args, NamedArgs named = {});
  /// The value behind a quantize and a dequantize, where the tensor has a grid.
  Node* on_grid(Node* node, const tflite::Tensor& tensor);
  /// An image's elements in the order in which the program has them, and the result's back from it.
  Node* as_it_lies(Node* node, const tflite::Tensor& tensor);
  Node* from_nhwc(Node* node);

  /// The operator's result, behind the activation that is computed with it.
  void give(Node* node);
  /// The value of a tensor, as it is.
  void set(int32_t tensor, Node* node) { values_[tensor] = node; }

  /// Throws octet::Error naming the operator.
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  Graph& graph() { return module_->graph(); }
  void find_borders();

  void note_source(Node& node) const;

  const tflite::Model& program_;
  std::optional<ProgramFacts> facts_;
  const tflite::Operator* op_ = nullptr;
  std::shared_ptr<GraphModule> module_ = std::make_shared<GraphModule>();
  std::map<int32_t, Node*> values_;
  std::set<const tflite::Tensor*> borders_;
};

/// Gives the operator's result a value.
using Translate = std::function<void(WayBack& g)>;

struct WayBackRow {
  tflite::OpCode code;
  Translate translate;  ///< empty: PyTorch's operators have no counterpart that octet knows
};

/// A row for each operator of `.tflite`.
const tflite::OpTable<WayBackRow>& way_back_table();

// One function a family, in way_back/.
namespace way_back {

void convolution(WayBack& g);
void depthwise_convolution(WayBack& g);
void transposed_convolution(WayBack& g);
void fully_connected(WayBack& g);
void matmul(WayBack& g);
void max_pool(WayBack& g);
void average_pool(WayBack& g);
void bilinear(WayBack& g);
void nearest(WayBack& g);
void reshape(WayBack& g);
void transpose(WayBack& g);
void pad(WayBack& g);
void slice(WayBack& g);
void split(WayBack& g);
void split_v(WayBack& g);
void concatenation(WayBack& g);
void strided_slice(WayBack& g);
void gather(WayBack& g);
void pack(WayBack& g);
void broadcast_to(WayBack& g);
void space_to_depth(WayBack& g);
void depth_to_space(WayBack& g);
void prelu(WayBack& g);
void squared_difference(WayBack& g);
/// Calls of this op.
Translate unary(const std::string& op);
Translate binary(const std::string& op);
Translate reduction(const std::string& op);
Translate along_channels(const std::string& op);
Translate clip(double low, double high);

}  // namespace way_back

}  // namespace octet::lowering
