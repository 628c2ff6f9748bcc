#include <algorithm>
#include <optional>

#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/places.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

std::optional<Diagonal> diagonal_taken_by(const Node& node) {
  if (!node.is_call("aten.diagonal.default") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* x = node.arg("self").node();
  return x == nullptr || !x->meta() || is_static(x) ? std::nullopt : diagonal_of(node, x->meta()->rank());
}

std::optional<Diagonal> diagonal_made_by(const Node& node) {
  if (!node.is_call("aten.diag_embed.default") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* x = node.arg("self").node();
  return x == nullptr || !x->meta() || is_static(x) ? std::nullopt : diagonal_of(node, node.meta()->rank());
}

// The others in their order, then rows and columns.
Sizes rows_and_columns_last(const Diagonal& along, size_t rank) {
  Sizes order;
  for (int64_t dim = 0; dim < static_cast<int64_t>(rank); ++dim) {
    if (dim != along.rows && dim != along.columns) order.push_back(dim);
  }
  order.push_back(along.rows);
  order.push_back(along.columns);
  return order;
}

// Of the elements in one row, every one that is a row and a column further.
Node* taken(const Node& node, const Diagonal& along) {
  Node* x = node.arg("self").node();
  x = add_permute(x, rows_and_columns_last(along, x->sizes().size()), node);
  const int64_t columns = x->sizes().back(), rows = *(x->sizes().end() - 2), count = node.sizes().back();
  Sizes flat(x->sizes().begin(), x->sizes().end() - 1);
  flat.back() = rows * columns;
  x = add_reshape(x, flat, 0, node);
  const int64_t start = along.offset < 0 ? -along.offset * columns : along.offset;
  const auto dim = static_cast<int64_t>(flat.size()) - 1;
  return add_slice(x, dim, start, start + (count - 1) * (columns + 1) + 1, node, columns + 1);
}

Node* padded(Node* x, int64_t before, int64_t behind, const Node& like) {
  if (before == 0 && behind == 0) return x;
  Sizes sizes = x->sizes();
  sizes.back() += before + behind;
  return add_call("aten.pad.default", {x, Sizes{before, behind}}, sizes, like);
}

// Each element in front of a row and a column of zeros, all in one row, of which the square is cut.
Node* made(const Node& node, const Diagonal& along) {
  Node* x = node.arg("self").node();
  const int64_t count = x->sizes().back(), width = node.sizes()[static_cast<size_t>(along.columns)];
  Sizes apart = x->sizes(), line = x->sizes();
  apart.push_back(1);
  line.back() = count * (width + 1);
  x = add_reshape(padded(add_reshape(x, apart, 0, node), 0, width, node), line, 0, node);
  const int64_t before = along.offset < 0 ? -along.offset * width : along.offset;
  const int64_t missing = width * width - before - line.back();
  x = padded(x, before, std::max<int64_t>(missing, 0), node);
  x = add_slice(x, static_cast<int64_t>(line.size()) - 1, 0, width * width, node);
  const Sizes order = rows_and_columns_last(along, node.sizes().size());
  Sizes square = x->sizes(), back(order.size());
  square.back() = width;
  square.push_back(width);
  for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  return add_permute(add_reshape(x, square, 0, node), back, node);
}

}  // namespace

bool decompose_diagonals(GraphModule& module) {
  std::vector<Node*> found =
      calls_where(module.graph(), [](const Node& node) { return diagonal_taken_by(node) || diagonal_made_by(node); });
  if (found.empty()) return false;
  const Memory memory(module.graph());
  std::erase_if(found, [&](const Node* node) { return memory.is_written(*node); });
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    const auto along = diagonal_taken_by(*node);
    replace_by_parts(node, along ? taken(*node, *along) : made(*node, *diagonal_made_by(*node)));
  }
  return !found.empty();
}

}  // namespace octet::targets
