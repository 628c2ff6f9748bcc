#include <algorithm>
#include <numeric>

#include "octet/graph/constant_value.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/copies.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/places.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

constexpr auto kMostCopies = static_cast<int64_t>(kMostPieces * kMostPieces);
constexpr int64_t kMostElements = int64_t{1} << 22;  // of a constant of the result's size

bool is_known(const Node& node) { return node.meta() && node.meta()->numel() > 0; }

// `count` copies along a dimension; of many by copies of copies.
Node* put_side_by_side(Node* x, size_t dim, int64_t count, const Node& like) {
  if (count == 1) return x;
  const auto most = static_cast<int64_t>(kMostPieces);
  Sizes sizes = x->sizes();
  const int64_t length = sizes[dim];
  Node* block = count > most ? put_side_by_side(x, dim, most, like) : x;
  const int64_t each = count > most ? most : 1;
  std::vector<Arg> copies(static_cast<size_t>(count / each), Arg(block));
  if (count % each != 0) {
    copies.emplace_back(add_slice(block, static_cast<int64_t>(dim), 0, count % each * length, like));
  }
  sizes[dim] *= count;
  return add_call("aten.cat.default", {std::move(copies), static_cast<int64_t>(dim)}, sizes, like);
}

// More copies of one sample than are put side by side, in these sizes. A constant for each of several samples would
// hold their number.
Node* multiplied_by_ones(GraphModule& module, Node* x, const Sizes& sizes, const Node& node) {
  const at::Tensor ones = at::ones(sizes, at::TensorOptions(node.meta()->dtype));
  Node* whole = add_attr(module, octet::str("ones_", node.name()), ones, AttrKind::kConstant);
  return add_call("aten.mul.Tensor", {x, whole}, sizes, node);
}

// ---- pad by the nearest element, or around -------------------------------------------------------------------------

// Innermost dimension first; empty for other nodes, samples, and rows of one element that lie many times side by side.
std::vector<Copy> padding_of(const Node& node) {
  if (!node.is_call("aten.pad.default") || !is_known(node) || !node.arg("pad").is_constant()) return {};
  const std::string mode = node.arg("mode").to_string();
  const Node* x = node.arg("self").node();
  if ((mode != "replicate" && mode != "circular") || x == nullptr || !x->meta()) return {};
  const Sizes amounts = node.arg("pad").to_ints();
  const auto rank = static_cast<size_t>(x->meta()->rank());
  if (amounts.size() % 2 != 0 || amounts.size() / 2 >= rank) return {};
  std::vector<Copy> copies;
  for (size_t i = 0; i < amounts.size() / 2; ++i) {
    const size_t dim = rank - 1 - i;
    const int64_t length = x->sizes()[dim];
    if (length > kLongestCopy || node.sizes()[dim] > kLongestCopy) return {};
    if (amounts[2 * i] == 0 && amounts[2 * i + 1] == 0) continue;
    Copy copy{static_cast<int64_t>(dim), {}};
    for (int64_t place = -amounts[2 * i]; place < length + amounts[2 * i + 1]; ++place) {
      copy.places.push_back(mode == "circular" ? (place % length + length) % length
                                               : std::clamp<int64_t>(place, 0, length - 1));
    }
    if (copy.places.empty() || !is_put_together(copy)) return {};
    copies.push_back(std::move(copy));
  }
  return copies;
}

// ---- index by a constant -------------------------------------------------------------------------------------------

// x[:, .., places], by numbers along neighbouring dimensions.
std::optional<Places> index_of(const GraphModule& module, const Node& node) {
  if (!node.is_call("aten.index.Tensor") || !is_known(node)) return std::nullopt;
  const Node* x = node.arg("self").node();
  return x == nullptr || is_constant_value(*x) ? std::nullopt : indexed_by(module, *x, node.arg("indices"));
}

Node* take_by_index(GraphModule& module, const Node& node, const Places& from) {
  Node* x = node.arg("self").node();
  const Copy copy{static_cast<int64_t>(from.first), from.places};
  x = add_reshape(x, from.in_one(x->sizes()), 0, node);
  if (is_put_together(copy)) return add_reshape(put_together(x, copy, node), node.sizes(), 0, node);
  Sizes taken = x->sizes();
  taken[from.first] = static_cast<int64_t>(from.places.size());
  Node* places = add_attr(module, octet::str("places_", node.name()), at::tensor(copy.places), AttrKind::kConstant);
  Node* gathered = add_call("aten.index_select.default", {x, copy.dim, places}, taken, node);
  return add_reshape(gathered, node.sizes(), 0, node);
}

// ---- flip ----------------------------------------------------------------------------------------------------------

// Counted from the front; empty for other nodes, along samples, and for lengths that cannot be put together.
Sizes turned_dims(const Node& node) {
  if (!node.is_call("aten.flip.default") || !is_known(node) || !node.arg("dims").is_constant()) return {};
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || is_constant_value(*x)) return {};
  Sizes dims = node.arg("dims").to_ints();
  for (int64_t& dim : dims) {
    dim = positive_dim(dim, node.meta()->rank());
    const int64_t length = node.sizes()[static_cast<size_t>(dim)];
    if (dim == 0 || (length > 1 && !can_turn_around(length))) return {};
  }
  return dims;
}

Node* turn_around(const Node& node, const Sizes& dims) {
  Node* x = node.arg("self").node();
  for (const int64_t dim : dims) x = turned_around(x, dim, node);
  return x;
}

// ---- repeat_interleave ---------------------------------------------------------------------------------------------

// By a number along a dimension; 0 for other nodes. Of samples each stays whole, its copies behind it.
int64_t repeats_of(const Node& node) {
  if (!node.is_call("aten.repeat_interleave.self_int") || !is_known(node)) return 0;
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || node.arg("dim").is_none() || !node.arg("repeats").is_constant()) return 0;
  const int64_t repeats = node.arg("repeats").to_int();
  return repeats > kMostCopies ? 0 : repeats;
}

Node* repeat(GraphModule& module, const Node& node, int64_t repeats) {
  Node* x = node.arg("self").node();
  const auto dim = static_cast<size_t>(positive_dim(node.arg("dim").to_int(), x->meta()->rank()));
  if (repeats == 1) return x;
  Sizes rows(x->sizes().begin(), x->sizes().begin() + static_cast<ptrdiff_t>(dim) + 1);
  const int64_t behind = std::accumulate(x->sizes().begin() + static_cast<ptrdiff_t>(dim) + 1, x->sizes().end(),
                                         int64_t{1}, std::multiplies<>());
  rows.insert(rows.end(), {1, behind});
  Node* row = add_reshape(x, rows, 0, node);
  rows[dim + 1] = repeats;
  const bool by_ones = repeats > static_cast<int64_t>(kMostPieces) && rows[0] == 1 &&
                       node.meta()->numel() <= kMostElements && at::isFloatingType(x->meta()->dtype);
  Node* copies = by_ones ? multiplied_by_ones(module, row, rows, node) : put_side_by_side(row, dim + 1, repeats, node);
  return add_reshape(copies, node.sizes(), 0, node);
}

// ---- repeat --------------------------------------------------------------------------------------------------------

size_t copies_of(const Sizes& times) {
  size_t copies = 1;
  for (const int64_t each : times) copies *= static_cast<size_t>(std::clamp<int64_t>(each, 1, kLongestCopy));
  return copies;
}

// Times along each dimension of the result; empty for other nodes, along samples, and for more copies than are worth
// it.
Sizes times_of(const Node& node) {
  if (!node.is_call("aten.repeat.default") || !is_known(node) || !node.arg("repeats").is_constant()) return {};
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || is_constant_value(*x)) return {};
  Sizes times = node.arg("repeats").to_ints();
  if (times.size() != x->sizes().size()) return {};
  const size_t copies = copies_of(times);
  const bool is_worth_it = copies > 1 && copies <= kMostPieces && times.front() == 1;
  return is_worth_it ? times : Sizes();
}

Node* repeat_whole(Node* x, const Sizes& times, const Node& node) {
  for (size_t dim = times.size(); dim-- > 0;) {
    x = put_side_by_side(x, dim, times[dim], node);
  }
  return x;
}

// ---- expand, and repeats of single elements
// --------------------------------------------------------------------------

// The input's sizes in the rank of a result that holds elements of it many times side by side; empty for other nodes
// and along samples.
Sizes spread_sizes(const Node& x, const Node& node) {
  if (!x.meta() || is_constant_value(x) || !at::isFloatingType(x.meta()->dtype)) return {};
  const Sizes& out = node.sizes();
  if (out.size() < x.sizes().size() || out.empty() || node.meta()->numel() > kMostElements) return {};
  Sizes from(out.size() - x.sizes().size(), 1);
  from.insert(from.end(), x.sizes().begin(), x.sizes().end());
  if (from == out || from[0] != out[0]) return {};
  for (size_t d = 0; d < out.size(); ++d) {
    if (from[d] != out[d] && (from[d] != 1 || (out[0] != 1 && out[d] > kMostCopies))) return {};
  }
  return from;
}

Sizes spread_sizes(const Node& node) {
  const bool expands = node.is_call("aten.expand.default") || node.is_call("aten.expand_as.default");
  if ((!expands && !node.is_call("aten.repeat.default")) || !is_known(node)) return {};
  const Node* x = node.arg("self").node();
  return x == nullptr ? Sizes() : spread_sizes(*x, node);
}

// A row of copies, or a product with ones where there are too many.
Node* spread(GraphModule& module, Node* x, const Sizes& from, const Node& node) {
  const Sizes& out = node.sizes();
  if (from != x->sizes()) x = add_reshape(x, from, 0, node);
  Sizes times(out.size(), 1);
  for (size_t d = 0; d < out.size(); ++d) times[d] = out[d] / from[d];
  if (copies_of(times) <= kMostPieces || out[0] != 1) return repeat_whole(x, times, node);
  return multiplied_by_ones(module, x, out, node);
}

// ---- arithmetic of rows and columns --------------------------------------------------------------------------------

// The operand that is spread so that one of them has the result's sizes: that of more elements. nullptr for other
// nodes, and where one has them already.
Node* spread_operand(const Node& node) {
  const bool is_arithmetic =
      node.is_call("aten.add.Tensor") || node.is_call("aten.sub.Tensor") || node.is_call("aten.mul.Tensor");
  if (!is_arithmetic || !is_known(node) || !at::isFloatingType(node.meta()->dtype)) return nullptr;
  Node* most = nullptr;
  for (const char* argument : {"self", "other"}) {
    Node* x = node.arg(argument).node();
    if (x == nullptr || !x->meta() || is_constant_value(*x) || x->sizes() == node.sizes()) return nullptr;
    if (!at::isFloatingType(x->meta()->dtype)) return nullptr;
    if (most == nullptr || x->meta()->numel() > most->meta()->numel()) most = x;
  }
  return spread_sizes(*most, node).empty() ? nullptr : most;
}

}  // namespace

bool decompose_copies(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return spread_operand(each) != nullptr; })) {
    const auto here = module.graph().inserting_before(node);
    Node* operand = spread_operand(*node);
    node->replace_input(operand, spread(module, operand, spread_sizes(*operand, *node), *node));
    changed = true;
  }
  for (Node* node : calls_where(module.graph(), [&](const Node& each) {
         return !padding_of(each).empty() || index_of(module, each) || !turned_dims(each).empty() ||
                repeats_of(each) > 0 || !times_of(each).empty() || !spread_sizes(each).empty();
       })) {
    const auto here = module.graph().inserting_before(node);
    Node* value = node->arg("self").node();
    if (const auto places = index_of(module, *node)) {
      value = take_by_index(module, *node, *places);
    } else if (const Sizes dims = turned_dims(*node); !dims.empty()) {
      value = turn_around(*node, dims);
    } else if (const int64_t repeats = repeats_of(*node)) {
      value = repeat(module, *node, repeats);
    } else if (const Sizes times = times_of(*node); !times.empty()) {
      value = repeat_whole(value, times, *node);
    } else if (const Sizes from = spread_sizes(*node); !from.empty()) {
      value = spread(module, value, from, *node);
    } else {
      for (const Copy& each : padding_of(*node)) value = put_together(value, each, *node);
    }
    if (value == node->arg("self").node()) {
      replace_node(node, value);
    } else {
      replace_by_parts(node, value);
    }
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
