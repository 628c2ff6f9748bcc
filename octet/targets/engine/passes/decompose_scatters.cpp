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

// Values that go to constant places of `into`.
struct Scatter {
  Node* into = nullptr;
  Node* values = nullptr;
  Places to = {};
  bool adds = false;  // to what is there, and to one another

  int64_t length() const { return to.length_in(into->sizes()); }
  int64_t count() const { return static_cast<int64_t>(to.places.size()); }
  bool places_differ() const {
    return std::unordered_set<int64_t>(to.places.begin(), to.places.end()).size() == to.places.size();
  }
};

int64_t product(Sizes::const_iterator begin, Sizes::const_iterator end) {
  return std::accumulate(begin, end, int64_t{1}, std::multiplies<>());
}

bool is_float(const Node* node) { return node != nullptr && node->meta() && node->meta()->dtype == at::kFloat; }

// ---- what the operators say ----------------------------------------------------------------------------------------

// index_copy, index_add.
std::optional<Scatter> of_rows(const GraphModule& module, const Node& node, bool adds) {
  const std::optional<at::Tensor> index = whole_numbers_in(module, node.arg("index"));
  if (!index || index->dim() > 1 || !node.arg("dim").is_constant()) return std::nullopt;
  if (adds && !(node.arg("alpha").is_constant() && node.arg("alpha").to_double() == 1.0)) return std::nullopt;
  const auto dim = static_cast<size_t>(positive_dim(node.arg("dim").to_int(), node.meta()->rank()));
  return Scatter{
      node.arg("self").node(), node.arg("source").node(), {dim, 1, index->sizes().vec(), numbers_of(*index)}, adds};
}

// y[:, i, j] = values
std::optional<Scatter> of_index(const GraphModule& module, const Node& node) {
  Node* into = node.arg("self").node();
  const std::optional<Places> to = indexed_by(module, *into, node.arg("indices"));
  if (!to) return std::nullopt;
  return Scatter{into, node.arg("values").node(), *to, node.arg("accumulate").to_bool()};
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
  const auto scattered = [&](size_t first, size_t joined, const at::Tensor& places) {
    return Scatter{node.arg("self").node(),
                   node.arg("src").node(),
                   {first, joined, {places.numel()}, numbers_of(places.reshape({-1}))},
                   adds};
  };
  if (is_of_rows(*index, dim, sizes)) {
    at::Tensor row = *index;
    for (int64_t d = 0; d < rank; ++d) row = d == dim ? row : row.narrow(d, 0, 1);
    return scattered(static_cast<size_t>(dim), 1, row);
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
  return scattered(1, static_cast<size_t>(rank) - 1, place);
}

// Every n + 1-th element of a square.
std::optional<Scatter> of_diagonal(const Node& node) {
  const auto rank = static_cast<int64_t>(node.sizes().size());
  const std::optional<Diagonal> along = diagonal_of(node, rank);
  // The diagonal is the last dimension of its values.
  if (!along || along->rows != rank - 2 || along->columns != rank - 1) return std::nullopt;
  Scatter found{node.arg("self").node(), node.arg("src").node(), {static_cast<size_t>(along->rows), 2, {}, {}}};
  if (!is_float(found.values)) return std::nullopt;
  const int64_t width = node.sizes().back();
  for (int64_t i = 0; i < found.values->sizes().back(); ++i) {
    found.to.places.push_back((i + std::max<int64_t>(-along->offset, 0)) * width + i +
                              std::max<int64_t>(along->offset, 0));
  }
  return found;
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
bool is_understood(const Node& node, Scatter& found) {
  if (!is_float(found.into) || !is_float(found.values) || !is_float(&node) || found.to.first == 0) return false;
  if (is_constant_value(*found.values) || node.meta()->numel() == 0 || found.to.places.empty()) return false;
  const int64_t length = found.length();
  for (int64_t& place : found.to.places) {
    place = positive_dim(place, length);
    if (place < 0 || place >= length) return false;
  }
  const Sizes there = found.to.with(found.into->sizes(), found.count());
  if (found.values->meta()->numel() != product(there.begin(), there.end())) return false;
  return found.adds ? found.count() * length <= kMostPlaced : found.places_differ();
}

std::optional<Scatter> scatter_of(const GraphModule& module, const Node& node) {
  std::optional<Scatter> found = said_by(module, node);
  return found && is_understood(node, *found) ? found : std::nullopt;
}

// ---- what they become ----------------------------------------------------------------------------------------------

bool is_zero(const GraphModule& module, const Node& node) {
  return is_static(&node) && module.attr(node.target()).detach().eq(0).all().item<bool>();
}

class Scattered {
 public:
  Scattered(GraphModule& module, const Node& node, const Scatter& found)
      : module_(module), node_(node), found_(found), dim_(static_cast<int64_t>(found.to.first)) {
    values_ = add_reshape(found.values, found.to.with(found.into->sizes(), found.count()), 0, node);
  }

  Node* make(bool may_multiply) {
    if (found_.adds) return added();
    if (const Copy copy = copy_of_both(); is_put_together(copy)) return unflattened(joined(copy));
    return may_multiply ? multiplied() : gathered();
  }

 private:
  Node* flat() { return add_reshape(found_.into, flat_sizes(), 0, node_); }
  Sizes flat_sizes() const { return found_.to.in_one(found_.into->sizes()); }
  Node* unflattened(Node* x) { return add_reshape(x, node_.sizes(), 0, node_); }

  // Elements of what is there, and behind its last those that come.
  Copy copy_of_both() const {
    Copy copy{dim_, Sizes(static_cast<size_t>(found_.length()))};
    std::iota(copy.places.begin(), copy.places.end(), 0);
    for (size_t i = 0; i < found_.to.places.size(); ++i) {
      copy.places[static_cast<size_t>(found_.to.places[i])] = found_.length() + static_cast<int64_t>(i);
    }
    return copy;
  }

  Node* joined(const Copy& copy) { return put_together({flat(), values_}, copy, node_); }

  Node* gathered() {
    Sizes both = flat_sizes();
    both[found_.to.first] += found_.count();
    Node* all = add_call("aten.cat.default", {std::vector<Arg>{flat(), values_}, dim_}, both, node_);
    Node* places = constant("places_", at::tensor(copy_of_both().places));
    return unflattened(add_call("aten.index_select.default", {all, dim_, places}, flat_sizes(), node_));
  }

  // Nothing is left where values come.
  Node* multiplied() {
    Sizes line(flat_sizes().size(), 1);
    line[found_.to.first] = found_.length();
    const at::Tensor kept = at::ones({found_.length()}).index_fill(0, at::tensor(found_.to.places), 0.0);
    Node* rest = add_call("aten.mul.Tensor", {flat(), constant("kept_", kept.reshape(line))}, flat_sizes(), node_);
    return unflattened(add_call("aten.add.Tensor", {rest, spread()}, flat_sizes(), node_));
  }

  Node* added() {
    Node* sums = unflattened(spread());
    return is_zero(module_, *found_.into) ? sums
                                          : add_call("aten.add.Tensor", {found_.into, sums}, node_.sizes(), node_);
  }

  // The values in their places among zeros, by a product with 0 and 1.
  Node* spread() {
    const auto count = found_.count();
    at::Tensor weight = at::zeros({found_.length(), count});
    weight.index_put_({at::tensor(found_.to.places), at::arange(count, at::kLong)}, at::ones({}));
    Sizes order(flat_sizes().size());
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[found_.to.first], order.back());
    Node* x = add_permute(values_, order, node_);
    Sizes sizes = x->sizes();
    sizes.back() = found_.length();
    x = add_call("aten.linear.default", {x, constant("places_", weight)}, sizes, node_);
    return add_permute(x, order, node_);
  }

  Node* constant(const char* what, const at::Tensor& value) {
    return add_attr(module_, octet::str(what, node_.name()), value, AttrKind::kConstant);
  }

  GraphModule& module_;
  const Node& node_;
  const Scatter& found_;
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
    const Scatter found = *scatter_of(module, *node);
    if (!may_be_replaced(*node)) continue;
    const bool may_multiply = !values.may_be_infinite(found.into) && !values.may_be_infinite(found.values) &&
                              found.length() * found.count() <= kMostPlaced;
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, Scattered(module, *node, found).make(may_multiply));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
