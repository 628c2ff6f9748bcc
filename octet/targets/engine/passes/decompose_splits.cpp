#include <algorithm>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_chunk(const Node& node) {
  return node.is_call("aten.chunk.default") || node.is_call("aten.unsafe_chunk.default");
}

// Every piece one wide, without that dimension.
bool is_unbind(const Node& node) { return node.is_call("aten.unbind.int"); }

bool is_split(const Node& node) {
  return node.is_call("aten.split.Tensor") || node.is_call("aten.unsafe_split.Tensor") ||
         node.is_call("aten.split.sizes") || node.is_call("aten.split_with_sizes.default") ||
         node.is_call("aten.unsafe_split_with_sizes.default") || node.is_call("aten.tensor_split.sections") ||
         node.is_call("aten.tensor_split.indices") || is_chunk(node) || is_unbind(node);
}

// The sizes of the pieces of tensor_split: so many, the first of them one wider where they are not equal.
std::vector<int64_t> nearly_equal_sizes(int64_t length, int64_t sections) {
  std::vector<int64_t> sizes;
  for (int64_t i = 0; i < sections; ++i) sizes.push_back(length / sections + (i < length % sections ? 1 : 0));
  return sizes;
}

// The sizes between the places where tensor_split cuts; empty where one stands before another.
std::vector<int64_t> sizes_between(int64_t length, std::vector<int64_t> cuts) {
  std::vector<int64_t> sizes;
  int64_t start = 0;
  cuts.push_back(length);
  for (int64_t cut : cuts) {
    cut = std::min(positive_dim(cut, length), length);
    if (cut <= start) return {};
    sizes.push_back(cut - start);
    start = cut;
  }
  return sizes;
}

// The sizes of the chunks along the split dimension of `length`; empty where they are computed.
std::vector<int64_t> chunk_sizes(const Node& node, int64_t length) {
  if (is_unbind(node)) return std::vector<int64_t>(static_cast<size_t>(length), 1);
  const auto equal = [length](int64_t size) {
    std::vector<int64_t> sizes;
    for (int64_t start = 0; size > 0 && start < length; start += size) sizes.push_back(std::min(size, length - start));
    return sizes;
  };
  const Arg& how = node.arg(size_t{1});
  if (!how.is_constant()) return {};
  if (node.is_call("aten.split.Tensor") || node.is_call("aten.unsafe_split.Tensor")) return equal(how.to_int());
  if (node.is_call("aten.tensor_split.sections")) return nearly_equal_sizes(length, how.to_int());
  if (node.is_call("aten.tensor_split.indices")) return sizes_between(length, how.to_ints());
  if (!is_chunk(node)) return how.to_ints();
  const int64_t chunks = how.to_int();
  return chunks > 0 ? equal((length + chunks - 1) / chunks) : std::vector<int64_t>();
}

// `x` without that dimension, which is one wide.
Node* without_dim(Node* x, int64_t dim, const Node& like) {
  std::vector<int64_t> sizes = x->sizes();
  sizes.erase(sizes.begin() + dim);
  return add_call("aten.squeeze.dim", {x, dim}, sizes, like);
}

bool decompose_split(Node* split) {
  Node* input = split->arg("self").node();
  if (input == nullptr || !input->meta() || !split->arg("dim").is_constant()) return false;
  const std::vector<int64_t> sizes = input->sizes();
  const int64_t dim = positive_dim(split->arg("dim").to_int(), static_cast<int64_t>(sizes.size()));
  const std::vector<int64_t> chunks = chunk_sizes(*split, sizes.at(static_cast<size_t>(dim)));
  if (chunks.empty()) return false;
  for (const Node* user : split->users()) {
    if (user->kind() != NodeKind::kGetItem) return false;
  }
  std::vector<int64_t> ends;
  for (const int64_t size : chunks) ends.push_back((ends.empty() ? 0 : ends.back()) + size);
  for (Node* item : split->users()) {
    const auto index = static_cast<size_t>(item->args()[1].to_int());
    const auto here = split->graph().inserting_before(item);
    Node* part = add_slice(input, dim, ends.at(index) - chunks[index], ends[index], *split);
    replace_node(item, is_unbind(*split) ? without_dim(part, dim, *split) : part);
  }
  split->graph().erase(split);
  return true;
}

bool is_select(const Node& node) {
  const Node* input = node.is_call("aten.select.int") ? node.arg("self").node() : nullptr;
  return input != nullptr && input->meta() && !is_static(input) && node.arg("dim").is_constant() &&
         node.arg("index").is_constant() && node.meta();
}

void decompose_select(Node* select) {
  Node* input = select->arg("self").node();
  const int64_t dim = positive_dim(select->arg("dim").to_int(), input->meta()->rank());
  const int64_t length = input->sizes().at(static_cast<size_t>(dim));
  const int64_t index = positive_dim(select->arg("index").to_int(), length);
  const auto here = select->graph().inserting_before(select);
  replace_by_parts(select, without_dim(add_slice(input, dim, index, index + 1, *select), dim, *select));
}

// Along other dimensions than the batch, by numbers that are known.
bool is_roll(const Node& node) {
  if (!node.is_call("aten.roll.default") || !node.meta() || node.arg("self").node() == nullptr) return false;
  if (!node.arg("shifts").is_constant() || !node.arg("dims").is_constant() || node.meta()->numel() == 0) return false;
  const std::vector<int64_t> dims = node.arg("dims").to_ints();
  return !dims.empty() && dims.size() == node.arg("shifts").to_ints().size() &&
         std::all_of(dims.begin(), dims.end(),
                     [&](int64_t dim) { return positive_dim(dim, node.meta()->rank()) != 0; });
}

void decompose_roll(Node* roll) {
  const std::vector<int64_t> shifts = roll->arg("shifts").to_ints();
  const std::vector<int64_t> dims = roll->arg("dims").to_ints();
  Node* rolled = roll->arg("self").node();
  const auto here = roll->graph().inserting_before(roll);
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t dim = positive_dim(dims[i], roll->meta()->rank());
    const int64_t length = roll->sizes().at(static_cast<size_t>(dim));
    const int64_t first = ((-shifts[i]) % length + length) % length;  // what comes to the front
    if (first == 0) continue;
    const std::vector<Arg> parts = {add_slice(rolled, dim, first, length, *roll),
                                    add_slice(rolled, dim, 0, first, *roll)};
    rolled = add_call("aten.cat.default", {Arg(parts), dim}, roll->sizes(), *roll);
  }
  if (rolled == roll->arg("self").node()) {
    replace_node(roll, rolled);
  } else {
    replace_by_parts(roll, rolled);
  }
}

}  // namespace

bool decompose_rolls(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), is_roll);
  for (Node* node : found) decompose_roll(node);
  return !found.empty();
}

bool decompose_splits(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), is_split)) changed |= decompose_split(node);
  return changed;
}

bool decompose_selects(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), is_select);
  for (Node* node : found) decompose_select(node);
  return !found.empty();
}

}  // namespace octet::targets
