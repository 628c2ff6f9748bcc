#include "octet/targets/engine/passes/put_back.h"

#include <algorithm>
#include <array>
#include <optional>

#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/places.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

constexpr size_t kMostJoined = 256;  // values of a concatenation that are told apart: else n writes take n * n / 2
constexpr int64_t kMostSteps = 16;   // of a slice whose step does not divide its dimension: a piece each

// A part of a value along one dimension.
struct Part {
  int64_t dim = 0;
  int64_t start = 0;
  int64_t length = 0;
  int64_t step = 1;
  bool drops_dim = false;  // a select

  // Every step-th element of all: an element of each of size / step rows.
  bool is_a_column(int64_t size) const { return size % step == 0 && start < step && length == size / step; }
};

// The part that a slice or a select takes, by numbers that are known.
std::optional<Part> part_taken_by(const Node& view, bool of_constant) {
  const bool is_slice = view.is_call("aten.slice.Tensor");
  if ((!is_slice && !view.is_call("aten.select.int")) || !view.meta()) return std::nullopt;
  const Node* whole = view.arg("self").node();
  if (whole == nullptr || !whole->meta() || !view.arg("dim").is_constant()) return std::nullopt;
  Part part;
  part.dim = positive_dim(view.arg("dim").to_int(), whole->meta()->rank());
  const int64_t size = whole->sizes().at(static_cast<size_t>(part.dim));
  const Arg& from = view.arg(is_slice ? "start" : "index");
  if (!from.is_constant()) return std::nullopt;
  part.start = from.is_none() ? 0 : std::clamp(positive_dim(from.to_int(), size), int64_t{0}, size);
  part.drops_dim = !is_slice;
  part.length = is_slice ? view.sizes().at(static_cast<size_t>(part.dim)) : 1;
  if (!is_slice) return part;
  if (!view.arg("end").is_constant() || !view.arg("step").is_constant()) return std::nullopt;
  part.step = view.arg("step").to_int();
  const bool is_of_samples = part.dim == 0 && part.length != size && !of_constant;
  if (part.step < 1 || is_of_samples) return std::nullopt;
  const bool in_one_piece = part.step == 1 || part.length == 0;
  return in_one_piece || part.is_a_column(size) || part.length <= kMostSteps ? std::optional(part) : std::nullopt;
}

// Of the last two dimensions, neither of samples.
bool is_diagonal(const Node& view) {
  if (!view.is_call("aten.diagonal.default") || !view.meta() || !view.args()[0].is_node()) return false;
  const Node* whole = view.args()[0].node();
  if (!whole->meta()) return false;
  const int64_t rank = whole->meta()->rank();
  const std::optional<Diagonal> along = diagonal_of(view, rank);
  return along && along->rows == rank - 2 && along->columns == rank - 1;
}

bool is_permutation(const Node& view) {
  if (view.is_call("aten.transpose.int")) return view.arg("dim0").is_constant() && view.arg("dim1").is_constant();
  return view.is_call("aten.permute.default") && view.arg("dims").is_constant();
}

// The same elements in the same order under other sizes.
bool is_reshape(const Node& view) {
  constexpr std::array<OpName, 9> kReshapes = {
      "aten.view.default",  "aten.reshape.default",   "aten.flatten.using_ints",
      "aten.unflatten.int", "aten.squeeze.default",   "aten.squeeze.dim",
      "aten.squeeze.dims",  "aten.unsqueeze.default", "aten._unsafe_view.default"};
  return std::any_of(kReshapes.begin(), kReshapes.end(), [&](OpName op) { return view.is_call(op); });
}

std::vector<int64_t> order_of(const Node& view, int64_t rank) {
  std::vector<int64_t> order;
  if (view.is_call("aten.permute.default")) {
    order = view.arg("dims").to_ints();
    for (int64_t& dim : order) dim = positive_dim(dim, rank);
    return order;
  }
  for (int64_t i = 0; i < rank; ++i) order.push_back(i);
  std::swap(order.at(static_cast<size_t>(positive_dim(view.arg("dim0").to_int(), rank))),
            order.at(static_cast<size_t>(positive_dim(view.arg("dim1").to_int(), rank))));
  return order;
}

Node* permuted_back(const Node& view, Node* value) {
  const std::vector<int64_t> order = order_of(view, value->meta()->rank());
  std::vector<int64_t> inverse(order.size());
  for (size_t i = 0; i < order.size(); ++i) inverse.at(static_cast<size_t>(order[i])) = static_cast<int64_t>(i);
  return add_permute(value, inverse, *value);
}

// A concatenation of values that are still what they were there.
bool joins_along(const Node& node, int64_t dim) {
  if (!node.is_call("aten.cat.default") || !node.meta()) return false;
  if (positive_dim(node.arg("dim").to_int(), node.meta()->rank()) != dim) return false;
  const std::vector<Node*> inputs = node.inputs();
  if (inputs.size() > kMostJoined) return false;
  return std::all_of(inputs.begin(), inputs.end(), [&](const Node* input) {
    return input->meta() && input->meta()->rank() == node.meta()->rank() && !is_written_behind(*input, node);
  });
}

// The values along `dim` that make up [start, end) of `whole`: those that a concatenation joins, as far as they lie in
// there, and slices.
void add_rest(std::vector<Arg>& parts, Node* whole, int64_t dim, int64_t start, int64_t end) {
  if (start >= end) return;
  if (!joins_along(*whole, dim)) {
    parts.emplace_back(add_slice(whole, dim, start, end, *whole));
    return;
  }
  int64_t from = 0;
  whole->args()[0].for_each_node([&](Node* joined) {
    const int64_t size = joined->sizes().at(static_cast<size_t>(dim));
    add_rest(parts, joined, dim, std::max(start - from, int64_t{0}), std::min(end - from, size));
    from += size;
  });
}

Node* joined(std::vector<Arg> parts, int64_t dim, const Node& whole) {
  if (parts.size() == 1) return add_call("aten.clone.default", {parts.front()}, whole.sizes(), whole);
  return add_call("aten.cat.default", {Arg(std::move(parts)), dim}, whole.sizes(), whole);
}

// A column of rows of `step` elements.
Node* with_column(const Part& part, Node* whole, Node* value) {
  const auto at = static_cast<size_t>(part.dim);
  std::vector<int64_t> rows = whole->sizes();
  rows[at] = part.length;
  rows.insert(rows.begin() + part.dim + 1, part.step);
  std::vector<int64_t> column = rows;
  column[at + 1] = 1;
  Node* of_rows =
      add_call("aten.unflatten.int", {whole, part.dim, std::vector<int64_t>{part.length, part.step}}, rows, *whole);
  std::vector<Arg> parts;
  add_rest(parts, of_rows, part.dim + 1, 0, part.start);
  parts.emplace_back(add_call("aten.unsqueeze.default", {value, part.dim + 1}, column, *whole));
  add_rest(parts, of_rows, part.dim + 1, part.start + 1, part.step);
  Node* all = add_call("aten.cat.default", {Arg(parts), part.dim + 1}, rows, *whole);
  return add_call("aten.flatten.using_ints", {all, part.dim, part.dim + 1}, whole->sizes(), *whole);
}

Node* with_part(const Part& part, Node* whole, Node* value) {
  const int64_t size = whole->sizes().at(static_cast<size_t>(part.dim));
  if (part.step > 1 && part.length > 1 && part.is_a_column(size)) return with_column(part, whole, value);
  std::vector<int64_t> sizes = whole->sizes();
  if (part.drops_dim) {
    sizes[static_cast<size_t>(part.dim)] = 1;
    value = add_call("aten.unsqueeze.default", {value, part.dim}, sizes, *whole);
  }
  std::vector<Arg> parts;
  int64_t done = 0;
  const int64_t pieces = part.step == 1 ? std::min(part.length, int64_t{1}) : part.length;
  const int64_t each = part.step == 1 ? part.length : 1;
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const int64_t start = part.start + piece * part.step;
    add_rest(parts, whole, part.dim, done, start);
    parts.emplace_back(add_slice(value, part.dim, piece * each, (piece + 1) * each, *whole));
    done = start + each;
  }
  add_rest(parts, whole, part.dim, done, size);
  return joined(std::move(parts), part.dim, *whole);
}

}  // namespace

bool is_the_same_value(const Node& node) {
  return node.is_call("aten.alias.default") || node.is_call("aten.detach.default") ||
         (node.op().mutates() && node.op().writes_argument(0) && node.args()[0].is_node());
}

bool can_put_back(const Node& view, bool of_constant) {
  if (part_taken_by(view, of_constant) || is_the_same_value(view)) return true;
  const bool has_sizes = view.meta() && view.args()[0].is_node() && view.args()[0].node()->meta();
  return has_sizes && (is_permutation(view) || is_reshape(view) || is_diagonal(view));
}

bool shows_a_part(const Node& view, bool of_constant) {
  return is_diagonal(view) || part_taken_by(view, of_constant).has_value();
}

Node* put_back(const Node& view, Node* whole, Node* value, bool of_constant) {
  if (const std::optional<Part> part = part_taken_by(view, of_constant)) return with_part(*part, whole, value);
  if (is_diagonal(view)) {
    std::vector<Arg> args = {whole, value};
    for (const char* argument : {"offset", "dim1", "dim2"}) args.push_back(view.arg(argument));
    return add_call("aten.diagonal_scatter.default", std::move(args), whole->sizes(), *whole);
  }
  if (is_permutation(view)) return permuted_back(view, value);
  // The first dimension may be of samples.
  return is_reshape(view) ? add_reshape(value, whole->sizes(), 0, *whole) : value;
}

}  // namespace octet::targets
