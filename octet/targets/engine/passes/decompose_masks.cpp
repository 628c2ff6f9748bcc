#include <ATen/ops/diagonal_scatter.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/finite.h"
#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/places.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Below this, a softmax gives 0 in float32, whatever is added.
constexpr double kHiddenScore = -1e3;

// A computed value, and constants that take its place where `kept` does not hold.
struct Masking {
  Node* value = nullptr;
  at::Tensor kept;  // bool
  at::Tensor fill;
};

// A number, or a constant of real numbers.
std::optional<at::Tensor> constant_in(const GraphModule& module, const Arg& arg) {
  if (arg.is_constant() && arg.constant().isScalar()) return at::scalar_tensor(arg.to_double(), at::kFloat);
  if (!is_static(arg.node()) || !arg.node()->meta() || at::isComplexType(arg.node()->meta()->dtype)) {
    return std::nullopt;
  }
  return module.attr(arg.node()->target()).detach().to(at::kFloat);
}

std::optional<at::Tensor> constant_of_type(const GraphModule& module, const Arg& arg, at::ScalarType type) {
  const bool fits = is_static(arg.node()) && arg.node()->meta() && arg.node()->meta()->dtype == type;
  return fits ? std::optional(module.attr(arg.node()->target()).detach()) : std::nullopt;
}

// The elements that `y[..., mask] = value` writes, as a mask of all of `node`.
std::optional<at::Tensor> mask_put_into(const GraphModule& module, const Node& node) {
  const Arg& indices = node.arg("indices");
  if (!indices.is_list()) return std::nullopt;
  const int64_t rank = node.meta()->rank();
  std::optional<at::Tensor> mask;
  int64_t in_front = 0;
  for (const Arg& index : indices.list()) {
    if (index.is_none()) {
      in_front += mask ? 0 : 1;
      continue;
    }
    if (mask) return std::nullopt;  // two indices meet element by element
    mask = constant_of_type(module, index, at::kBool);
    if (!mask || in_front + mask->dim() > rank) return std::nullopt;
  }
  if (!mask) return std::nullopt;
  std::vector<int64_t> sizes(static_cast<size_t>(rank), 1);
  std::copy(mask->sizes().begin(), mask->sizes().end(), sizes.begin() + in_front);
  return mask->reshape(sizes);
}

// The elements that an index along one dimension writes.
std::optional<at::Tensor> mask_of_index(const GraphModule& module, const Node& node) {
  const std::optional<at::Tensor> index = whole_numbers_in(module, node.arg("index"));
  if (!index || !node.arg("dim").is_constant() || node.meta()->rank() == 0) return std::nullopt;
  const auto dim = static_cast<size_t>(positive_dim(node.arg("dim").to_int(), node.meta()->rank()));
  std::vector<int64_t> sizes(static_cast<size_t>(node.meta()->rank()), 1);
  sizes.at(dim) = node.sizes().at(dim);
  return at::zeros(sizes[dim], at::kBool).index_fill(0, *index, true).reshape(sizes);
}

// What constants leave of a value, and what they put in the other places.
struct Put {
  at::Tensor kept;  // bool
  at::Tensor fill;
};

// y[:, i, j] = values, which may differ from place to place.
std::optional<Put> put_by_index(const GraphModule& module, const Node& node, const at::Tensor& values) {
  const Node* self = node.arg("self").node();
  if (self == nullptr || node.arg("accumulate").to_bool()) return std::nullopt;
  const std::optional<Places> to = indexed_by(module, *self, node.arg("indices"));
  if (!to) {
    const std::optional<at::Tensor> mask = values.numel() == 1 ? mask_put_into(module, node) : std::nullopt;
    return mask ? std::optional(Put{mask->logical_not(), values.reshape({})}) : std::nullopt;
  }
  const auto first = static_cast<ptrdiff_t>(to->first), joined = static_cast<ptrdiff_t>(to->joined);
  std::vector<int64_t> sample = node.sizes();
  sample[0] = 1;
  std::vector<int64_t> line(sample.size(), 1), flat = to->in_one(sample), taken = sample;
  std::copy(sample.begin() + first, sample.begin() + first + joined, line.begin() + first);
  const at::Tensor places = at::tensor(to->places);
  const at::Tensor kept = at::ones({flat[to->first]}, at::kBool).index_fill(0, places, false).reshape(line);
  if (values.numel() == 1) return Put{kept, values.reshape({})};
  taken.erase(taken.begin() + first, taken.begin() + first + joined);
  taken.insert(taken.begin() + first, to->sizes.begin(), to->sizes.end());
  if (values.dim() == static_cast<int64_t>(taken.size()) && values.size(0) != 1) return std::nullopt;
  const at::Tensor all = at::zeros(flat);
  flat[to->first] = places.numel();
  return Put{kept, all.index_copy(first, places, values.expand(taken).reshape(flat)).reshape(sample)};
}

// The same elements of each sample.
std::optional<Put> put_by_scatter(const GraphModule& module, const Node& node, const at::Tensor& number) {
  const std::optional<at::Tensor> index = whole_numbers_in(module, node.arg("index"));
  const int64_t rank = node.meta()->rank();
  if (!index || !node.arg("dim").is_constant() || rank < 2 || index->dim() != rank) return std::nullopt;
  const int64_t dim = positive_dim(node.arg("dim").to_int(), rank);
  const at::Tensor sample = index->narrow(0, 0, std::min<int64_t>(index->size(0), 1));
  if (dim == 0 || index->size(0) != node.sizes()[0] || !index->eq(sample).all().item<bool>()) return std::nullopt;
  std::vector<int64_t> sizes = node.sizes();
  sizes[0] = 1;
  return Put{at::ones(sizes, at::kBool).scatter(dim, sample, 0), number.reshape({})};
}

std::optional<Put> put_on_diagonal(const GraphModule& module, const Node& node) {
  const std::optional<at::Tensor> values = constant_in(module, node.arg("src"));
  const std::optional<Diagonal> along = diagonal_of(node, node.meta()->rank());
  if (!values || !along || node.meta()->numel() == 0 || values->numel() == 0) return std::nullopt;
  const at::Tensor sample = values->narrow(0, 0, 1);
  if (!values->eq(sample).all().item<bool>()) return std::nullopt;
  std::vector<int64_t> sizes = node.sizes();
  sizes[0] = 1;
  const auto put = [&](double elsewhere, const at::Tensor& there) {
    return at::diagonal_scatter(at::full(sizes, elsewhere), there, along->offset, along->rows, along->columns);
  };
  return Put{put(1.0, at::zeros_like(sample)).to(at::kBool), put(0.0, sample)};
}

// Operators that put constants where constants say.
std::optional<Put> put_by(const GraphModule& module, const Node& node) {
  std::string_view packet = node.op().short_name();
  if (packet == "tril" || packet == "triu") {
    if (node.meta()->rank() < 2 || !node.arg("diagonal").is_constant()) return std::nullopt;
    const at::Tensor all = at::ones({*(node.sizes().end() - 2), node.sizes().back()}, at::kBool);
    const int64_t diagonal = node.arg("diagonal").to_int();
    return Put{packet == "tril" ? all.tril(diagonal) : all.triu(diagonal), at::zeros({}, at::kFloat)};
  }
  if (packet.ends_with('_')) packet.remove_suffix(1);
  if (packet == "diagonal_scatter") return put_on_diagonal(module, node);
  const bool scatters = packet == "scatter" && node.has_arg("value") && !node.has_arg("reduce");
  if (packet != "index_put" && packet != "index_fill" && !scatters) return std::nullopt;
  const std::optional<at::Tensor> value = constant_in(module, node.arg(packet == "index_put" ? "values" : "value"));
  if (!value) return std::nullopt;
  if (packet == "index_put") return put_by_index(module, node, *value);
  if (value->numel() != 1) return std::nullopt;
  if (scatters) return put_by_scatter(module, node, *value);
  const std::optional<at::Tensor> mask = mask_of_index(module, node);
  return mask ? std::optional(Put{mask->logical_not(), value->reshape({})}) : std::nullopt;
}

bool is_computed_float(const Node* node) {
  return node != nullptr && node->meta() && !is_static(node) && node->meta()->dtype == at::kFloat;
}

std::optional<Masking> masking_of(const GraphModule& module, const Node& node) {
  if (!node.meta() || node.meta()->dtype != at::kFloat) return std::nullopt;
  if (const auto put = put_by(module, node)) {
    Node* self = node.arg("self").node();
    return is_computed_float(self) ? std::optional(Masking{self, put->kept, put->fill}) : std::nullopt;
  }
  const std::string_view packet = node.op().packet();
  const bool fills = packet == "aten.masked_fill" || packet == "aten.masked_fill_";
  if (!fills && packet != "aten.where") return std::nullopt;
  if (!node.has_arg(fills ? "mask" : "condition") || !node.has_arg(fills ? "value" : "other")) return std::nullopt;
  const Node* mask = node.arg(fills ? "mask" : "condition").node();
  if (!is_static(mask) || !mask->meta() || mask->meta()->dtype != at::kBool) return std::nullopt;
  const at::Tensor chosen = module.attr(mask->target()).detach();
  Node* self = node.arg("self").node();
  if (fills) {
    const std::optional<at::Tensor> value = constant_in(module, node.arg("value"));
    if (!value || !is_computed_float(self)) return std::nullopt;
    return Masking{self, chosen.logical_not(), *value};
  }
  Node* other = node.arg("other").node();
  if (is_computed_float(self)) {
    const std::optional<at::Tensor> value = constant_in(module, node.arg("other"));
    return value ? std::optional(Masking{self, chosen, *value}) : std::nullopt;
  }
  const std::optional<at::Tensor> value = constant_in(module, node.arg("self"));
  if (!value || !is_computed_float(other)) return std::nullopt;
  return Masking{other, chosen.logical_not(), *value};
}

// The same elements in the same rows of the last dimension.
bool keeps_rows(const Node& node, const Node& value) {
  constexpr std::array<std::string_view, 10> kViews = {"view",    "reshape",   "_unsafe_view", "flatten", "unflatten",
                                                       "squeeze", "unsqueeze", "contiguous",   "clone",   "alias"};
  const bool is_view =
      node.is_call() && std::find(kViews.begin(), kViews.end(), node.op().short_name()) != kViews.end();
  return is_view && node.meta() && !node.sizes().empty() && !value.sizes().empty() &&
         node.sizes().back() == value.sizes().back();
}

bool is_softmax_of_rows(const Node& node) {
  const bool is_softmax = node.is_call("aten.softmax.int") || node.is_call("aten._softmax.default");
  if (!is_softmax || !node.meta() || !node.arg("dim").is_constant()) return false;
  const int64_t rank = node.meta()->rank();
  return rank > 0 && positive_dim(node.arg("dim").to_int(), rank) == rank - 1;
}

// Through views.
bool only_softmaxes_of_rows_read(const Node& node) {
  std::vector<const Node*> values = {&node};
  while (!values.empty()) {
    const Node* value = values.back();
    values.pop_back();
    if (value->user_count() == 0) return false;
    for (const Node* user : value->users()) {
      if (keeps_rows(*user, *value)) {
        values.push_back(user);
      } else if (!is_softmax_of_rows(*user)) {
        return false;
      }
    }
  }
  return true;
}

// A softmax of a row of which nothing is left tells how the hidden scores differ.
bool keeps_some_of_each_row(const at::Tensor& kept) {
  return kept.dim() > 0 && kept.any(/*dim=*/-1).all().item<bool>();
}

void apply_as_sums(GraphModule& module, Node* node, const Masking& masking) {
  const auto here = module.graph().inserting_before(node);
  const auto constant = [&](const char* what, const at::Tensor& value) {
    return add_attr(module, octet::str(what, node->name()), value, AttrKind::kConstant);
  };
  const at::Tensor added = at::where(masking.kept, at::zeros({}, at::kFloat), masking.fill.to(at::kFloat));
  const at::Tensor filled = added.masked_select(masking.kept.logical_not().expand_as(added));
  const bool is_of_scores = keeps_some_of_each_row(masking.kept) && only_softmaxes_of_rows_read(*node);
  const bool hides =
      filled.le(is_of_scores ? kHiddenScore : -std::numeric_limits<double>::infinity()).all().item<bool>();
  Node* result = masking.value;
  if (!hides) {
    result =
        add_call("aten.mul.Tensor", {result, constant("kept_", masking.kept.to(at::kFloat))}, node->sizes(), *node);
  }
  if (hides || filled.ne(0).any().item<bool>()) {
    result = add_call("aten.add.Tensor", {result, constant("mask_", added)}, node->sizes(), *node);
  }
  replace_by_parts(node, result);
}

// Of two computed values, by a constant mask.
struct Choice {
  Node* chosen = nullptr;
  Node* other = nullptr;
  at::Tensor mask;
};

std::optional<Choice> choice_of(const GraphModule& module, const Node& node) {
  if (!node.is_call("aten.where.self") || !is_computed_float(&node)) return std::nullopt;
  const std::optional<at::Tensor> mask = constant_of_type(module, node.arg("condition"), at::kBool);
  const Choice choice{node.arg("self").node(), node.arg("other").node(), mask.value_or(at::Tensor())};
  const bool is_whole = mask && is_computed_float(choice.chosen) && is_computed_float(choice.other);
  return is_whole ? std::optional(choice) : std::nullopt;
}

// Each times 1 where it is chosen and 0 elsewhere, and their sum.
void apply_choice(GraphModule& module, Node* node, const Choice& choice) {
  const auto here = module.graph().inserting_before(node);
  std::vector<int64_t> sample = node->sizes();
  if (!sample.empty()) sample[0] = 1;
  const auto kept = [&](Node* value, const at::Tensor& places) {
    const bool is_whole = value->sizes() == node->sizes();
    const bool has_samples = places.dim() == node->meta()->rank() && !sample.empty() && places.size(0) != 1;
    const at::Tensor factors = (is_whole || has_samples ? places : places.expand(sample)).to(at::kFloat).contiguous();
    Node* factor = add_attr(module, octet::str("kept_", node->name()), factors, AttrKind::kConstant);
    return add_call("aten.mul.Tensor", {value, factor}, node->sizes(), *node);
  };
  Node* chosen = kept(choice.chosen, choice.mask);
  Node* rest = kept(choice.other, choice.mask.logical_not());
  replace_by_parts(node, add_call("aten.add.Tensor", {chosen, rest}, node->sizes(), *node));
}

// What is finite has no infinity to replace.
bool drop_nan_guards(GraphModule& module) {
  const std::vector<Node*> guards = calls_where(module.graph(), [](const Node& node) {
    return node.op().packet() == "aten.nan_to_num" || node.op().packet() == "aten.nan_to_num_";
  });
  if (guards.empty()) return false;
  const Memory memory(module.graph());
  Finiteness values(module, Finiteness::Looks::kToTheInputs);
  bool changed = false;
  for (Node* guard : guards) {
    Node* x = guard->arg("self").node();
    if (!is_computed_float(x) || values.may_be_infinite(x) || memory.is_written(*x)) continue;
    replace_node(guard, x);
    changed = true;
  }
  return changed;
}

}  // namespace

bool decompose_masks(GraphModule& module) {
  bool changed = drop_nan_guards(module);
  Finiteness values(module);
  for (Node* node :
       calls_where(module.graph(), [&](const Node& each) { return masking_of(module, each).has_value(); })) {
    const Masking masking = *masking_of(module, *node);
    if (!may_be_replaced(*node) || values.may_be_infinite(masking.value)) continue;
    apply_as_sums(module, node, masking);
    changed = true;
  }
  for (Node* node :
       calls_where(module.graph(), [&](const Node& each) { return choice_of(module, each).has_value(); })) {
    const Choice choice = *choice_of(module, *node);
    if (values.may_be_infinite(choice.chosen) || values.may_be_infinite(choice.other)) continue;
    apply_choice(module, node, choice);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
