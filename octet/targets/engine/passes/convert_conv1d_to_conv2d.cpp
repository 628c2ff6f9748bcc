#include "octet/graph/constant_value.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// The 2-D form of a 1-D convolution, or nullptr.
const char* two_dimensional(const Node& node) {
  if (node.is_call("aten.conv1d.default")) return "aten.conv2d.default";
  if (node.is_call("aten.conv1d.padding")) return "aten.conv2d.padding";
  if (node.is_call("aten.conv_transpose1d.default")) return "aten.conv_transpose2d.input";
  return nullptr;
}

// A tensor of the module, or computed from such alone.
bool is_weight(const Node* node) { return node != nullptr && node->meta() && is_constant_value(*node); }

bool can_convert(const Node& conv) {
  const Node* input = conv.arg("input").node();
  return input != nullptr && input->meta() && input->meta()->rank() == 3 && conv.meta() &&
         is_weight(conv.arg("weight").node()) && (conv.arg("bias").is_none() || is_weight(conv.arg("bias").node()));
}

// The length becomes the width; the height is 1.
std::vector<int64_t> with_height(std::vector<int64_t> sizes) {
  sizes.insert(sizes.end() - 1, 1);
  return sizes;
}

// Two numbers for one along the length.
Arg widened(const Arg& arg, int64_t height) {
  if (!arg.constant().isList()) return arg;  // padding by name
  return std::vector<int64_t>{height, arg.to_ints().at(0)};
}

// The weight with a height; tied convolutions share it as they shared theirs.
Node* two_dimensional_weight(GraphModule& module, Node& weight, std::map<std::string, std::string>& made) {
  if (!weight.is_get_attr()) {
    return add_call("aten.unsqueeze.default", {&weight, int64_t{-2}}, with_height(weight.sizes()), weight);
  }
  const auto found = made.find(weight.target());
  if (found != made.end()) {
    Node* again = module.graph().get_attr(found->second);
    const at::Tensor value = module.attr(found->second);
    again->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
    return again;
  }
  Node* node = add_attr(module, octet::str(weight.target(), "_2d"), module.attr(weight.target()).unsqueeze(-2),
                        module.attr_kind(weight.target()));
  made[weight.target()] = node->target();
  return node;
}

// The last node that stays in four dimensions: the convolution, a BatchNorm behind it, an activation behind that.
Node* last_inside(Node* conv, const std::function<bool(const Node&)>& joins) {
  Node* last = conv;
  Node* user = only_user(*last);
  if (user != nullptr && user->is_call("aten.batch_norm.default") && user->arg("input").node() == last) {
    last = user;
    user = only_user(*last);
  }
  if (user != nullptr && joins(*user)) last = user;
  return last;
}

void convert(GraphModule& module, Node* conv, const char* op, const std::function<bool(const Node&)>& joins,
             std::map<std::string, std::string>& made) {
  Graph& graph = module.graph();
  Node* input = conv->arg("input").node();
  Node* last = last_inside(conv, joins);
  Node* conv2d = nullptr;
  {
    const auto here = graph.inserting_before(conv);
    Node* unsqueezed = add_call("aten.unsqueeze.default", {input, int64_t{-2}}, with_height(input->sizes()), *conv);
    Node* weight = two_dimensional_weight(module, *conv->arg("weight").node(), made);
    NamedArgs rest = {{"stride", widened(conv->arg("stride"), 1)},
                      {"padding", widened(conv->arg("padding"), 0)},
                      {"dilation", widened(conv->arg("dilation"), 1)},
                      {"groups", conv->arg("groups")}};
    if (conv->has_arg("output_padding")) rest.emplace_back("output_padding", widened(conv->arg("output_padding"), 0));
    conv2d = graph.call(op, {unsqueezed, weight, conv->arg("bias")}, std::move(rest), conv->name());
    conv2d->set_meta(TensorMeta{conv->meta()->dtype, with_height(conv->sizes())});
    copy_notes(*conv, *conv2d);
  }
  const bool alone = last == conv;
  conv->replace_all_uses_with(conv2d);
  if (alone) last = conv2d;
  for (Node* node = conv2d; node != last;) {
    node = only_user(*node);
    node->set_meta(TensorMeta{node->meta()->dtype, conv2d->sizes()});
  }
  std::vector<int64_t> result = last->sizes();
  result.erase(result.end() - 2);
  const auto here = graph.inserting_after(last);
  Node* squeezed = add_call("aten.squeeze.dim", {last, int64_t{-2}}, result, *last);
  last->replace_all_uses_with(squeezed);
  graph.erase(conv);
}

}  // namespace

bool convert_conv1d_to_conv2d(GraphModule& module, const std::function<bool(const Node&)>& joins) {
  bool changed = false;
  std::map<std::string, std::string> made;
  for (Node* node : module.graph().nodes()) {
    const char* op = node->is_call() ? two_dimensional(*node) : nullptr;
    if (op == nullptr || !can_convert(*node)) continue;
    convert(module, node, op, joins, made);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
