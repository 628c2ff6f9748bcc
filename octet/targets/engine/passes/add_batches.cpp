#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

bool is_pool(const Node& node) {
  return node.is_call("aten.adaptive_avg_pool2d.default") || node.is_call("aten.avg_pool2d.default") ||
         node.is_call("aten.max_pool2d.default");
}

// Along how many dimensions a convolution slides; 0 for others.
int64_t dimensions_of(const Node& node) {
  const std::string_view packet = node.op().packet();
  if (packet == "aten.conv1d" || packet == "aten.conv_transpose1d") return 1;
  if (packet == "aten.conv2d" || packet == "aten.conv_transpose2d") return 2;
  return packet == "aten.conv3d" || packet == "aten.conv_transpose3d" ? 3 : 0;
}

Sizes with_batch(Sizes sizes) {
  sizes.insert(sizes.begin(), 1);
  return sizes;
}

// An image without a batch, [C, H, W] (a line, a volume), as one of a batch of one: what it was before it lost it,
// where it had one.
Node* batched(Node* image, const Node& reader) {
  const Sizes sizes = with_batch(image->sizes());
  if (image->is_call("aten.reshape.default")) {
    Node* source = image->arg(size_t{0}).node();
    if (source != nullptr && source->meta() && source->sizes() == sizes) return source;
  }
  return add_call("aten.reshape.default", {image, sizes}, sizes, reader);
}

// From `first`, which reads an image, to `last`, all that reads it in between: on a batch of one.
void add_batch(Graph& graph, Node* first, const char* argument, Node* last) {
  Node* input = first->arg(argument).node();
  const Sizes result = last->sizes();
  {
    const auto here = graph.inserting_before(first);
    first->set_arg(argument, batched(input, *first));
  }
  for (Node* node = first;; node = only_user(*node)) {
    node->set_meta(TensorMeta{node->meta()->dtype, with_batch(node->sizes())});
    if (node == last) break;
  }
  const auto here = graph.inserting_after(last);
  Node* image = add_call("aten.reshape.default", {last, result}, result, *last);
  last->replace_all_uses_with(image);
  if (input->is_call("aten.reshape.default") && input->user_count() == 0) graph.erase(input);
}

bool lacks_batch(const Node& node, const char* argument, int64_t dimensions = 2) {
  const Node* input = node.arg(argument).node();
  const int64_t rank = dimensions + 1;  // and the channels
  return input != nullptr && input->meta() && input->meta()->rank() == rank && node.meta() &&
         node.meta()->rank() == rank;
}

}  // namespace

bool add_batch_to_pools(GraphModule& module) {
  bool changed = false;
  for (Node* pool : calls_where(module.graph(), [](const Node& each) { return is_pool(each); })) {
    if (!lacks_batch(*pool, "self")) continue;
    add_batch(module.graph(), pool, "self", pool);
    changed = true;
  }
  return changed;
}

bool add_batch_to_convolutions(GraphModule& module, const std::function<bool(const Node&)>& joins) {
  bool changed = false;
  for (Node* conv : calls_where(module.graph(), [](const Node& each) { return dimensions_of(each) > 0; })) {
    if (!lacks_batch(*conv, "input", dimensions_of(*conv))) continue;
    Node* user = only_user(*conv);
    add_batch(module.graph(), conv, "input", user != nullptr && user->meta() && joins(*user) ? user : conv);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
