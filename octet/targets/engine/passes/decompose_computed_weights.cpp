#include "octet/graph/constant_value.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

bool is_computed(const Node* node) {
  return node != nullptr && node->meta() && !is_constant_value(*node) && at::isFloatingType(node->meta()->dtype);
}

bool reads_computed_weight(const Node& node) {
  if (!node.meta() || node.meta()->numel() == 0) return false;
  const bool is_line = node.is_call("aten.conv1d.default");
  if (is_line || node.is_call("aten.conv2d.default")) {
    const Node* x = node.arg("input").node();
    const Node* weight = node.arg("weight").node();
    if (!is_computed(x) || !is_computed(weight)) return false;
    const int64_t rank = is_line ? 3 : 4, groups = node.arg("groups").to_int();
    const bool fits = x->meta()->rank() == rank && weight->meta()->rank() == rank && node.meta()->rank() == rank;
    return fits && groups > 0 && x->sizes()[0] == 1 && weight->meta()->numel() > 0;
  }
  if (!node.is_call("aten.linear.default")) return false;
  const Node* x = node.arg("input").node();
  const Node* weight = node.arg("weight").node();
  return is_computed(x) && is_computed(weight) && x->meta()->rank() >= 2 && weight->meta()->rank() == 2 &&
         weight->meta()->numel() > 0;
}

/// `x` with the bias along dimension `dim`; `x` itself where there is none.
Node* with_bias(Node* x, const Arg& bias, size_t dim, const Node& like) {
  if (bias.is_none()) return x;
  Sizes sizes(x->sizes().size(), 1);
  sizes[dim] = x->sizes()[dim];
  return add_call("aten.add.Tensor", {x, add_reshape(bias.node(), sizes, dim, like)}, x->sizes(), like);
}

// An argument along height and width; the height of a line is 1 row of what does nothing.
Sizes in_two_dimensions(const Node& node, const char* argument, int64_t nothing) {
  Sizes values = node.arg(argument).to_ints();
  const bool is_line = node.is_call("aten.conv1d.default");
  if (values.size() == 1) values.insert(values.begin(), is_line ? nothing : values.front());
  return values;
}

// Each group's weights [out, in k] by its windows [in k, windows].
Node* multiply_windows(const Node& node) {
  Node* x = node.arg("input").node();
  Node* weight = node.arg("weight").node();
  const int64_t groups = node.arg("groups").to_int();
  const Sizes& taps = weight->sizes();
  Sizes image = x->sizes(), kernel(taps.begin() + 2, taps.end());
  if (kernel.size() == 1) {
    image.insert(image.begin() + 2, 1);
    kernel.insert(kernel.begin(), 1);
  }
  const Sizes stride = in_two_dimensions(node, "stride", 1), padding = in_two_dimensions(node, "padding", 0),
              dilation = in_two_dimensions(node, "dilation", 1);
  const int64_t places = kernel[0] * kernel[1], count = node.meta()->numel() / node.sizes()[1];
  Node* windows = x;
  if (places != 1 || stride != Sizes{1, 1} || padding != Sizes{0, 0}) {
    windows = add_call("aten.im2col.default", {add_reshape(x, image, 1, node), kernel, dilation, padding, stride},
                       {1, image[1] * places, count}, node);
  }
  const int64_t inside = image[1] / groups * places, out = node.sizes()[1] / groups;
  windows = add_reshape(windows, {groups, inside, count}, 0, node);
  Node* weights = add_reshape(weight, {groups, out, inside}, 0, node);
  Node* product = add_call("aten.bmm.default", {weights, windows}, {groups, out, count}, node);
  return with_bias(add_reshape(product, node.sizes(), 1, node), node.arg("bias"), 1, node);
}

Node* multiply_rows(const Node& node) {
  Node* x = node.arg("input").node();
  Node* weight = node.arg("weight").node();
  const int64_t out = weight->sizes()[0], in = weight->sizes()[1], rows = x->meta()->numel() / in;
  Node* turned = add_matrix_transpose(add_reshape(weight, {1, out, in}, 0, node), node);
  Node* product = add_call("aten.bmm.default", {add_reshape(x, {1, rows, in}, 1, node), turned}, {1, rows, out}, node);
  Node* result = add_reshape(product, node.sizes(), 0, node);
  return with_bias(result, node.arg("bias"), node.sizes().size() - 1, node);
}

}  // namespace

bool decompose_computed_weights(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), reads_computed_weight);
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, node->is_call("aten.linear.default") ? multiply_rows(*node) : multiply_windows(*node));
  }
  return !found.empty();
}

}  // namespace octet::targets
