#pragma once

#include <map>
#include <memory>
#include <set>
#include <tuple>

#include "octet/formats/tflite_table.h"
#include "octet/graph/graph_module.h"
#include "octet/integer/grid.h"
#include "octet/lowering/facts.h"

/// From a program back to a graph: what each operator of `.tflite` becomes (octet/lowering/program_graph.h).
namespace octet::lowering {

/// What the graph is for.
enum class GraphUse {
  kPlacement,  ///< images are NCHW everywhere, at the borders too; constants are buffers
  kModel,      ///< inputs and outputs lie as the program has them, numbers that learn are parameters
};

/// The graph while it is made, and the operator whose turn it is.
class WayBack {
 public:
  WayBack(const tflite::Model& program, GraphUse use);

  std::shared_ptr<GraphModule> build();

  const tflite::Operator& op() const { return *op_; }
  const tflite::Tensor& at(int32_t index) const { return program_.tensors[static_cast<size_t>(index)]; }
  const tflite::Tensor& input(size_t i) const { return at(op_->inputs.at(i)); }
  const tflite::Tensor& output() const { return at(op_->outputs.front()); }
  bool has_input(size_t i) const { return i < op_->inputs.size() && op_->inputs[i] >= 0; }
  /// Elements of an input of indices: axes, sizes.
  std::vector<int64_t> integers(size_t i) const;
  /// True for what is computed as NHWC in the program and as NCHW in the graph.
  bool is_image(const tflite::Tensor& tensor) const { return images_.count(&tensor) > 0; }
  /// The operator works on levels: its results have a grid.
  bool is_quantized() const { return integer::is_level_type(output().type); }
  std::vector<int64_t> graph_sizes(const tflite::Tensor& tensor) const;
  /// A program's axis as the graph's.
  int64_t graph_axis(int64_t axis, const tflite::Tensor& tensor) const;

  /// An activation, or a constant in the order of axes of the operator's result.
  Node* value(size_t i);
  /// The same with its axes in the program's order, and the operator's result from that order.
  Node* plain_value(size_t i);
  void give_plain(Node* node);
  /// A constant with its axes in another order (empty: as they are), behind a dequantize where it has a grid.
  Node* constant(size_t i, const std::vector<int64_t>& order = {}, const std::vector<int64_t>& shape = {});
  /// A constant that the file does not hold: `name` is appended to the operator's.
  Node* made_constant(const std::string& name, const at::Tensor& values);
  /// The call that gives the operator's result, but for its activation, and is named as that.
  Node* call(const std::string& op, std::vector<Arg> args, NamedArgs named = {});
  /// A call on the way to it.
  Node* step(const std::string& op, std::vector<Arg> args);
  /// The value behind a quantize and a dequantize, where the tensor has a grid.
  Node* on_grid(Node* node, const tflite::Tensor& tensor);
  /// Axes in another order; the node itself where that changes nothing.
  Node* permuted(Node* node, const std::vector<int64_t>& order);
  /// An image's elements in the order in which the program has them, and the result's back from it.
  Node* as_it_lies(Node* node, const tflite::Tensor& tensor);
  Node* from_nhwc(Node* node);

  /// The operator's result, behind the activation that is computed with it.
  void give(Node* node);
  /// The value of a tensor, as it is.
  void set(int32_t tensor, Node* node) { values_[tensor] = node; }
  /// Of an operator of several results: this one of the node's, and the value of an output from the program's order.
  Node* element(Node* node, size_t index);
  void set_plain(size_t output, Node* node);

  /// Throws octet::Error naming the operator.
  [[noreturn]] void refuse(const std::string& why) const;

 private:
  Graph& graph() { return module_->graph(); }
  void find_images();
  void find_images_by_need();
  std::set<const tflite::Tensor*> borders() const;
  void place_input(int32_t index);
  Node* result(int32_t index);
  void require_shapes(const std::map<int32_t, int64_t>& ids) const;

  void note_source(Node& node) const;
  Node* call_named(const std::string& name, const std::string& op, std::vector<Arg> args, NamedArgs named = {});
  /// The name of a constant's tensor in the module, made where it is new.
  const std::string& attribute(int32_t index, const std::vector<int64_t>& order, const std::vector<int64_t>& shape);

  GraphUse use_;
  tflite::Model program_;
  std::optional<ProgramFacts> facts_;
  const tflite::Operator* op_ = nullptr;
  std::shared_ptr<GraphModule> module_ = std::make_shared<GraphModule>();
  std::map<int32_t, Node*> values_;
  std::set<const tflite::Tensor*> images_;
  using ConstantForm = std::tuple<int32_t, std::vector<int64_t>, std::vector<int64_t>>;
  std::map<ConstantForm, std::string> attributes_;
  std::set<std::string> names_;  // of what is computed or given
};

/// Gives the operator's result a value.
using Translate = std::function<void(WayBack& g)>;

/// In what order of axes an operator takes and gives values of four dimensions.
enum class ImageLayout {
  kEnds,     ///< each as it comes
  kFollows,  ///< all in the same
  kNeeds,    ///< images: NHWC in the program, NCHW in the graph
};

struct WayBackRow {
  tflite::OpCode code;
  Translate translate;  ///< empty: PyTorch's operators have no counterpart that octet knows
  ImageLayout layout = ImageLayout::kFollows;
};

/// A row for each operator of `.tflite`.
const tflite::OpTable<WayBackRow>& way_back_table();

/// torch's type of a tensor's elements. Throws octet::Error for those that octet's graphs of programs do not hold.
at::ScalarType scalar_type_of(const tflite::Tensor& tensor);

// One function a family, in way_back_*.cpp.
namespace way_back {

/// An input of an operator that works element by element, of its result's rank.
Node* operand(WayBack& g, size_t i);

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
void softmax(WayBack& g);
void cast(WayBack& g);
void select(WayBack& g);
void top_k(WayBack& g);
void cumulative_sum(WayBack& g);
void tile(WayBack& g);
void reverse(WayBack& g);
void squared_difference(WayBack& g);
/// Calls of this op.
Translate unary(const std::string& op);
Translate binary(const std::string& op);
Translate reduction(const std::string& op);
Translate along_channels(const std::string& op);
Translate clip(double low, double high);
Translate place_of_extremum(const std::string& op);

}  // namespace way_back

}  // namespace octet::lowering
