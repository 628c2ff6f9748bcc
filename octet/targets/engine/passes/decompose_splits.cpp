#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_split(const Node& node) {
  return node.is_call("aten.split.Tensor") || node.is_call("aten.split.sizes") ||
         node.is_call("aten.split_with_sizes.default") || node.is_call("aten.chunk.default");
}

// The sizes of the chunks along the split dimension of `length`; empty where they are computed.
std::vector<int64_t> chunk_sizes(const Node& node, int64_t length) {
  const auto equal = [length](int64_t size) {
    std::vector<int64_t> sizes;
    for (int64_t start = 0; size > 0 && start < length; start += size) sizes.push_back(std::min(size, length - start));
    return sizes;
  };
  const Arg& how = node.arg(size_t{1});
  if (!how.is_constant()) return {};
  if (node.is_call("aten.split.Tensor")) return equal(how.to_int());
  if (!node.is_call("aten.chunk.default")) return how.to_ints();
  const int64_t chunks = how.to_int();
  return chunks > 0 ? equal((length + chunks - 1) / chunks) : std::vector<int64_t>();
}

bool decompose(Node* split) {
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
    if (chunks.size() == 1) {
      replace_node(item, input);
      continue;
    }
    const auto here = split->graph().inserting_before(item);
    std::vector<int64_t> piece = sizes;
    piece[static_cast<size_t>(dim)] = chunks.at(index);
    Node* slice = add_call("aten.slice.Tensor", {input, dim, ends[index] - chunks[index], ends[index]}, piece, *input);
    copy_notes(*split, *slice);
    replace_node(item, slice);
  }
  split->graph().erase(split);
  return true;
}

}  // namespace

bool decompose_splits(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), is_split)) changed |= decompose(node);
  return changed;
}

}  // namespace octet::targets
