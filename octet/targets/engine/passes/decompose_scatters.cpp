#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_set>

#include "octet/graph/constant_value.h"
#include "octet/support/error.h"
#include "octet/targets/engine/passes/copies.h"
#include "octet/targets/engine/passes/finite.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/places.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

constexpr int64_t kMostPlaced = int64_t{1} << 22;

// Values that go to constant places of `into` along one dimension, into which `joined` dimensions from `first` on are
// flattened.
struct Scatter {
  Node* into = nullptr;
  Node* values = nullptr;
  size_t first = 0;
  size_t joined = 1;
  Sizes places = {};
  bool adds = false;  // to what is there, and to one another

  bool places_differ() const {
    return std::unordered_set<int64_t>(places.begin(), places.end()).size() == places.size();
  }
};

int64_t product(Sizes::const_iterator begin, Sizes::const_iterator end) {
  return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
}

// `sizes` with `joined` dimensions from `first` on replaced by one of `length`.
Sizes flattened(const Sizes& sizes, const Scatter& to, int64_t length) {
  Sizes flat(sizes.begin(), sizes.begin() + static_cast<ptrdiff_t>(to.first));
  flat.push_back(length);
  flat.insert(flat.end(), sizes.begin() + static_cast<ptrdiff_t>(to.first + to.joined), sizes.end());
  return flat;
}

int64_t length_of(const Scatter& to) {
  const auto begin = to.into->sizes().begin() + static_cast<ptrdiff_t>(to.first);
  return product(begin, begin + static_cast<ptrdiff_t>(to.joined));
}

bool is_float(const Node* node) { return node != nullptr && node->meta() && node->meta()->dtype == at::kFloat; }

// ---- what the operators say ----------------------------------------------------------------------------------------

// index_copy, index_add.
std::optional<Scatter> of_rows(const GraphModule& module, const Node& node, bool adds) {
  const std::optional<at::Tensor> index = whole_numbers_in(module, node.arg("index"));
  if (!index || index->dim() > 1 || !node.arg("dim").is_constant()) return std::nullopt;
  if (adds && !(node.arg("alpha").is_constant() && node.arg("alpha").to_double() == 1.0)) return std::nullopt;
  Scatter to{node.arg("self").node(), node.arg("source").node()};
  to.first = static_cast<size_t>(positive_dim(node.arg("dim").to_int(), node.meta()->rank()));
  to.places = numbers_of(*index);
  to.adds = adds;
  return to;
}

// y[:, i, j] = values
std::optional<Scatter> of_index(const GraphModule& module, const Node& node) {
  Node* into = node.arg("self").node();
  const std::optional<Places> places = indexed_by(module, *into, node.arg("indices"));
  if (!places) return std::nullopt;
  Scatter to{into, node.arg("values").node(), places->first, places->joined, places->places};
  to.adds = node.arg("accumulate").to_bool();
  return to;
}

// All of them in one place each along a dimension, whatever the others: then they are rows.
bool is_of_rows(const at::Tensor& index, int64_t dim, const Sizes& into) {
  for (int64_t d = 0; d < index.dim(); ++d) {
    if (d == dim) continue;
    if (index.size(d) != into[static_cast<size_t>(d)]) return false;
    if (index.size(d) > 1 && !index.eq(index.narrow(d, 0, 1)).all().item<bool>()) return false;
  }
  return true;
}

// scatter and scatter_add.
std::optional<Scatter> of_elements(const GraphModule& module, const Node& node, bool adds) {
  const std::optional<at::Tensor> index = whole_numbers_in(module, node.arg("index"));
  const Node* source = node.arg("src").node();
  if (!index || !node.arg("dim").is_constant() || !is_float(source)) return std::nullopt;
  const Sizes& sizes = node.sizes();
  const auto rank = static_cast<int64_t>(sizes.size());
  if (rank < 2 || index->dim() != rank || source->sizes() != index->sizes().vec()) return std::nullopt;
  const int64_t dim = positive_dim(node.arg("dim").to_int(), rank);
  Scatter to{node.arg("self").node(), node.arg("src").node()};
  to.adds = adds;
  if (is_of_rows(*index, dim, sizes)) {
    to.first = static_cast<size_t>(dim);
    at::Tensor row = *index;
    for (int64_t d = 0; d < rank; ++d) row = d == dim ? row : row.narrow(d, 0, 1);
    to.places = numbers_of(row.reshape({-1}));
    return to;
  }
  // The same elements of each sample.
  const at::Tensor sample = index->narrow(0, 0, 1);
  if (dim == 0 || index->size(0) != sizes[0] || !index->eq(sample).all().item<bool>()) return std::nullopt;
  at::Tensor place = at::zeros_like(sample);
  for (int64_t d = 1, step = product(sizes.begin() + 2, sizes.end()); d < rank; ++d) {
    Sizes line(static_cast<size_t>(rank), 1);
    line[static_cast<size_t>(d)] = sample.size(d);
    place = place + step * (d == dim ? sample : at::arange(sample.size(d), at::kLong).reshape(line));
    if (d + 1 < rank) step /= sizes[static_cast<size_t>(d) + 1];
  }
  to.first = 1;
  to.joined = static_cast<size_t>(rank) - 1;
  to.places = numbers_of(place.reshape({-1}));
  return to;
}

// Every n + 1-th element of a square.
std::optional<Scatter> of_diagonal(const Node& node) {
  const Sizes& sizes = node.sizes();
  const auto rank = static_cast<int64_t>(sizes.size());
  const int64_t dim1 = positive_dim(node.arg("dim1").to_int(), rank),
                dim2 = positive_dim(node.arg("dim2").to_int(), rank);
  // The diagonal is the last dimension of its values.
  if (dim1 != rank - 2 || dim2 != rank - 1) return std::nullopt;
  const int64_t offset = node.arg("offset").to_int(), width = sizes.back();
  Scatter to{node.arg("self").node(), node.arg("src").node(), static_cast<size_t>(dim1), 2};
  if (!is_float(to.values)) return std::nullopt;
  for (int64_t i = 0; i < to.values->sizes().back(); ++i) {
    to.places.push_back((i + std::max<int64_t>(-offset, 0)) * width + i + std::max<int64_t>(offset, 0));
  }
  return to;
}

std::optional<Scatter> said_by(const GraphModule& module, const Node& node) {
  if (!node.is_call() || !node.meta()) return std::nullopt;
  std::string_view packet = node.op().short_name();
  if (packet.ends_with('_')) packet.remove_suffix(1);
  if (packet == "index_copy" || packet == "index_add") return of_rows(module, node, packet == "index_add");
  if (packet == "index_put" && node.arg("self").is_node()) return of_index(module, node);
  if (packet == "scatter_add" || (packet == "scatter" && node.has_arg("src") && !node.has_arg("reduce"))) {
    return of_elements(module, node, packet == "scatter_add");
  }
  return packet == "diagonal_scatter" ? of_diagonal(node) : std::nullopt;
}

// Not along samples, and within what is there.
bool is_understood(const Node& node, Scatter& to) {
  if (!is_float(to.into) || !is_float(to.values) || !is_float(&node) || to.first == 0) return false;
  if (is_constant_value(*to.values) || node.meta()->numel() == 0 || to.places.empty()) return false;
  const int64_t length = length_of(to);
  for (int64_t& place : to.places) {
    place = positive_dim(place, length);
    if (place < 0 || place >= length) return false;
  }
  const auto count = static_cast<int64_t>(to.places.size());
  const Sizes there = flattened(to.into->sizes(), to, count);
  if (to.values->meta()->numel() != product(there.begin(), there.end())) return false;
  return to.adds ? count * length <= kMostPlaced : to.places_differ();
}

std::optional<Scatter> scatter_of(const GraphModule& module, const Node& node) {
  std::optional<Scatter> to = said_by(module, node);
  return to && is_understood(node, *to) ? to : std::nullopt;
}

// ---- what they become ----------------------------------------------------------------------------------------------

bool is_zero(const GraphModule& module, const Node& node) {
  return is_static(&node) && module.attr(node.target()).detach().eq(0).all().item<bool>();
}

class Scattered {
 public:
  Scattered(GraphModule& module, const Node& node, const Scatter& to)
      : module_(module), node_(node), to_(to), dim_(static_cast<int64_t>(to.first)) {
    values_ = add_reshape(to.values, flattened(to.into->sizes(), to, static_cast<int64_t>(to.places.size())), 0, node);
  }

  Node* make(bool may_multiply) {
    if (to_.adds) return added();
    if (const Copy copy = copy_of_both(); is_put_together(copy)) return unflattened(joined(copy));
    return may_multiply ? multiplied() : gathered();
  }

 private:
  Node* flat() { return add_reshape(to_.into, flat_sizes(), 0, node_); }
  Sizes flat_sizes() const { return flattened(to_.into->sizes(), to_, length_of(to_)); }
  Node* unflattened(Node* x) { return add_reshape(x, node_.sizes(), 0, node_); }

  // Elements of what is there, and behind its last those that come.
  Copy copy_of_both() const {
    Copy copy{dim_, Sizes(static_cast<size_t>(length_of(to_)))};
    std::iota(copy.places.begin(), copy.places.end(), 0);
    for (size_t i = 0; i < to_.places.size(); ++i) {
      copy.places[static_cast<size_t>(to_.places[i])] = length_of(to_) + static_cast<int64_t>(i);
    }
    return copy;
  }

  Node* joined(const Copy& copy) { return put_together({flat(), values_}, copy, node_); }

  Node* gathered() {
    Sizes both = flat_sizes();
    both[to_.first] += static_cast<int64_t>(to_.places.size());
    Node* all = add_call("aten.cat.default", {std::vector<Arg>{flat(), values_}, dim_}, both, node_);
    Node* places = constant("places_", at::tensor(copy_of_both().places));
    return unflattened(add_call("aten.index_select.default", {all, dim_, places}, flat_sizes(), node_));
  }

  // Nothing is left where values come.
  Node* multiplied() {
    Sizes line(flat_sizes().size(), 1);
    line[to_.first] = length_of(to_);
    const at::Tensor kept = at::ones({length_of(to_)}).index_fill(0, at::tensor(to_.places), 0.0);
    Node* rest = add_call("aten.mul.Tensor", {flat(), constant("kept_", kept.reshape(line))}, flat_sizes(), node_);
    return unflattened(add_call("aten.add.Tensor", {rest, spread()}, flat_sizes(), node_));
  }

  Node* added() {
    Node* sums = unflattened(spread());
    return is_zero(module_, *to_.into) ? sums : add_call("aten.add.Tensor", {to_.into, sums}, node_.sizes(), node_);
  }

  // The values in their places among zeros, by a product with 0 and 1.
  Node* spread() {
    const auto count = static_cast<int64_t>(to_.places.size());
    at::Tensor weight = at::zeros({length_of(to_), count});
    weight.index_put_({at::tensor(to_.places), at::arange(count, at::kLong)}, at::ones({}));
    Sizes order(flat_sizes().size());
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[to_.first], order.back());
    Node* x = add_permute(values_, order, node_);
    Sizes sizes = x->sizes();
    sizes.back() = length_of(to_);
    x = add_call("aten.linear.default", {x, constant("places_", weight)}, sizes, node_);
    return add_permute(x, order, node_);
  }

  Node* constant(const char* what, const at::Tensor& value) {
    return add_attr(module_, octet::str(what, node_.name()), value, AttrKind::kConstant);
  }

  GraphModule& module_;
  const Node& node_;
  const Scatter& to_;
  int64_t dim_;
  Node* values_ = nullptr;
};

}  // namespace

bool decompose_scatters(GraphModule& module) {
  const at::NoGradGuard no_grad;
  Finiteness values(module);
  bool changed = false;
  for (Node* node :
       calls_where(module.graph(), [&](const Node& each) { return scatter_of(module, each).has_value(); })) {
    const Scatter to = *scatter_of(module, *node);
    if (!may_be_replaced(*node)) continue;
    const bool may_multiply = !values.may_be_infinite(to.into) && !values.may_be_infinite(to.values) &&
                              length_of(to) * static_cast<int64_t>(to.places.size()) <= kMostPlaced;
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, Scattered(module, *node, to).make(may_multiply));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
