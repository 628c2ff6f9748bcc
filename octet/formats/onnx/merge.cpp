#include "octet/formats/onnx/merge.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "octet/support/error.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

/// What a node is in one piece; an empty op where it is something else.
struct Merged {
  std::string op;
  std::vector<Arg> args;
};
using Merge = Merged (*)(GraphModule& module, Node& last);

struct MergeRow {
  OpName op;  // of the last step
  Merge merge;
};

// --- questions

Node* value_of(const Arg& arg) { return arg.node(); }
Node* input_of(const Node& node, size_t index = 0) { return node.arg(index).node(); }

std::optional<double> number_in(const Arg& arg) {
  if (!arg.is_constant() || !arg.constant().isScalar()) return std::nullopt;
  return arg.constant().toScalar().toDouble();
}

bool is_near(double got, double wanted) { return std::abs(got - wanted) <= 1e-4 * std::abs(wanted); }

bool is_number(const Arg& arg, double wanted) {
  const std::optional<double> number = number_in(arg);
  return number && is_near(*number, wanted);
}

bool is_alone(const Node* node) { return node != nullptr && node->user_count() == 1; }

// The value that `node` computes from by `op`, where nobody else reads it.
Node* under(Node* node, OpName op) { return is_alone(node) && node->is_call(op) ? input_of(*node) : nullptr; }

// Of `a op b`, whichever is not `one`.
Node* other_input(const Node& node, const Node* one) {
  if (value_of(node.arg(0)) == one) return value_of(node.arg(1));
  return value_of(node.arg(1)) == one ? value_of(node.arg(0)) : nullptr;
}

// What `node` is times a number: x, where it is x * c or x / (1 / c).
Node* scaled_by(Node* node, double factor) {
  if (node == nullptr) return nullptr;
  if (node->is_call("aten.mul.Tensor") && is_number(node->arg(1), factor)) return input_of(*node);
  if (node->is_call("aten.div.Tensor") && is_number(node->arg(1), 1.0 / factor)) return input_of(*node);
  return nullptr;
}

bool is_plus(const Node* node, double number) {
  return node != nullptr && node->is_call("aten.add.Tensor") && is_number(node->arg(1), number) &&
         is_number(node->arg("alpha"), 1.0);
}

bool swaps_last_two(const Node& permute) {
  Sizes order = permute.arg(1).to_ints();
  if (order.size() < 2) return false;
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  for (size_t i = 0; i < order.size(); ++i) {
    if (order[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

bool is_attr(const Node* node, const Sizes& sizes) {
  return node != nullptr && node->is_get_attr() && node->meta() && node->meta()->sizes == sizes;
}

// --- products

// linear(x, w) + b
Merged linear_and_bias(GraphModule& /*module*/, Node& last) {
  for (const size_t index : {0, 1}) {
    Node* linear = input_of(last, index);
    Node* bias = input_of(last, 1 - index);
    if (!is_alone(linear) || !linear->is_call("aten.linear.default") || !linear->arg(2).is_none()) continue;
    const Node* weight = input_of(*linear, 1);
    if (weight == nullptr || !weight->meta() || !is_attr(bias, {weight->sizes()[0]}) ||
        !is_number(last.arg("alpha"), 1.0)) {
      continue;
    }
    return {"aten.linear.default", {linear->arg(0), linear->arg(1), Arg(bias)}};
  }
  return {};
}

// --- activations that are products

// x * f(x)
Node* gated(Node& last, OpName inner) {
  for (const size_t index : {0, 1}) {
    Node* gate = input_of(last, index);
    Node* x = under(gate, inner);
    if (x != nullptr && other_input(last, gate) == x) return x;
  }
  return nullptr;
}

Merged silu(GraphModule& /*module*/, Node& last) {
  Node* x = gated(last, "aten.sigmoid.default");
  return x == nullptr ? Merged{} : Merged{"aten.silu.default", {Arg(x)}};
}

Merged hardswish(GraphModule& /*module*/, Node& last) {
  Node* x = gated(last, "aten.hardsigmoid.default");
  return x == nullptr ? Merged{} : Merged{"aten.hardswish.default", {Arg(x)}};
}

Merged mish(GraphModule& /*module*/, Node& last) {
  for (const size_t index : {0, 1}) {
    Node* gate = input_of(last, index);
    Node* soft = under(gate, "aten.tanh.default");
    Node* x = under(soft, "aten.softplus.default");
    if (x != nullptr && other_input(last, gate) == x) return {"aten.mish.default", {Arg(x)}};
  }
  return {};
}

/// The factors of a product, products of them that nobody else reads taken apart.
struct Factors {
  double number = 1.0;
  std::vector<Node*> nodes;
};

Factors factors_of(Node& last) {
  constexpr size_t kMost = 4;
  Factors found;
  std::vector<Arg> open = {last.arg(0), last.arg(1)};
  const bool divides = last.is_call("aten.div.Tensor");
  if (divides) {
    const std::optional<double> below = number_in(open.back());
    if (!below || *below == 0) return {};
    found.number = 1.0 / *below;
    open.pop_back();
  }
  while (!open.empty() && found.nodes.size() <= kMost) {
    const Arg arg = open.back();
    open.pop_back();
    if (const std::optional<double> number = number_in(arg)) {
      found.number *= *number;
    } else if (Node* node = arg.node(); node != nullptr && is_alone(node) && node->is_call("aten.mul.Tensor")) {
      open.push_back(node->arg(0));
      open.push_back(node->arg(1));
    } else if (node != nullptr) {
      found.nodes.push_back(node);
    } else {
      return {};
    }
  }
  return found;
}

// Of two factors, the one besides `one`; both orders are tried by `match`.
template <typename Match>
Node* either_factor(const Factors& factors, const Match& match) {
  if (factors.nodes.size() != 2) return nullptr;
  if (match(factors.nodes[0], factors.nodes[1])) return factors.nodes[0];
  return match(factors.nodes[1], factors.nodes[0]) ? factors.nodes[1] : nullptr;
}

Merged written_hardswish(GraphModule& /*module*/, Node& last) {
  const Factors factors = factors_of(last);
  if (!is_near(factors.number, 1.0 / 6.0)) return {};
  Node* x = either_factor(factors, [](Node* plain, Node* gate) {
    const bool clips = gate->is_call("aten.hardtanh.default") || gate->is_call("aten.clamp.default");
    if (!clips || !is_alone(gate) || !number_in(gate->arg(1)) || !number_in(gate->arg(2))) return false;
    if (*number_in(gate->arg(1)) != 0.0 || *number_in(gate->arg(2)) != 6.0) return false;
    const Node* sum = input_of(*gate);
    return is_alone(sum) && is_plus(sum, 3.0) && input_of(*sum) == plain;
  });
  return x == nullptr ? Merged{} : Merged{"aten.hardswish.default", {Arg(x)}};
}

// 0.044715 x^3 + x, times sqrt(2 / pi)
bool is_gelu_argument(Node* node, const Node* x) {
  Node* sum = scaled_by(node, 0.7978845608);
  if (sum == nullptr || !sum->is_call("aten.add.Tensor") || !is_number(sum->arg("alpha"), 1.0)) return false;
  Node* cubed = scaled_by(other_input(*sum, x), 0.044715);
  if (cubed == nullptr) return false;
  if (cubed->is_call("aten.pow.Tensor_Scalar")) return input_of(*cubed) == x && is_number(cubed->arg(1), 3.0);
  const Node* square = cubed->is_call("aten.mul.Tensor") ? other_input(*cubed, x) : nullptr;
  return square != nullptr && square->is_call("aten.mul.Tensor") && input_of(*square) == x && input_of(*square, 1) == x;
}

// x * 0.5 * (1 + erf(x / sqrt(2))), or with tanh
Merged gelu(GraphModule& /*module*/, Node& last) {
  const Factors factors = factors_of(last);
  if (!is_near(factors.number, 0.5)) return {};
  const char* form = "none";
  Node* x = either_factor(factors, [&](Node* plain, Node* gate) {
    if (!is_alone(gate) || !is_plus(gate, 1.0)) return false;
    if (Node* inner = under(input_of(*gate), "aten.erf.default")) return scaled_by(inner, std::sqrt(0.5)) == plain;
    Node* inner = under(input_of(*gate), "aten.tanh.default");
    form = "tanh";
    return inner != nullptr && is_gelu_argument(inner, plain);
  });
  return x == nullptr ? Merged{} : Merged{"aten.gelu.default", {Arg(x), Arg(form)}};
}

// --- norms

// (x - mean) / sqrt(mean((x - mean)^2) + eps) over the last dimensions, before its weights
Merged bare_layer_norm(GraphModule& /*module*/, Node& last) {
  Node* centered = input_of(last);
  Node* deviation = input_of(last, 1);
  if (centered == nullptr || !centered->is_call("aten.sub.Tensor") || !is_number(centered->arg("alpha"), 1.0))
    return {};
  Node* sum = under(deviation, "aten.sqrt.default");
  if (sum == nullptr || !sum->is_call("aten.add.Tensor") || !number_in(sum->arg(1))) return {};
  Node* variance = input_of(*sum);
  Node* x = input_of(*centered);
  Node* mean = input_of(*centered, 1);
  for (const Node* each : {variance, mean}) {
    if (each == nullptr || !each->is_call("aten.mean.dim") || !each->arg("keepdim").to_bool()) return {};
  }
  const Node* squared = input_of(*variance);
  if (squared == nullptr || input_of(*mean) != x || x == nullptr || !x->meta()) return {};
  const bool is_square =
      (squared->is_call("aten.pow.Tensor_Scalar") && is_number(squared->arg(1), 2.0) &&
       input_of(*squared) == centered) ||
      (squared->is_call("aten.mul.Tensor") && input_of(*squared) == centered && input_of(*squared, 1) == centered);
  if (!is_square || mean->arg("dim").is_none()) return {};
  Sizes dims = mean->arg("dim").to_ints();
  if (variance->arg("dim").is_none() || variance->arg("dim").to_ints() != dims) return {};
  std::sort(dims.begin(), dims.end());
  const int64_t rank = x->meta()->rank();
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != rank - static_cast<int64_t>(dims.size() - i)) return {};
  }
  const Sizes normalized(x->sizes().end() - static_cast<int64_t>(dims.size()), x->sizes().end());
  return {"aten.layer_norm.default", {Arg(x), Arg(normalized), Arg(), Arg(), Arg(*number_in(sum->arg(1))), Arg(true)}};
}

// layer_norm(x) * w, or + b, where the norm has none of them yet
template <size_t kSlot>
Merged layer_norm_and(GraphModule& /*module*/, Node& last) {
  for (const size_t index : {0, 1}) {
    Node* norm = input_of(last, index);
    Node* weight = input_of(last, 1 - index);
    if (!is_alone(norm) || !norm->is_call("aten.layer_norm.default") || !norm->arg(kSlot).is_none()) continue;
    if (kSlot == 3 && norm->arg(2).is_none()) continue;  // ONNX's own order: first the weight
    if (!is_attr(weight, norm->arg(1).to_ints())) continue;
    std::vector<Arg> args = norm->args();
    args[kSlot] = Arg(weight);
    return {"aten.layer_norm.default", std::move(args)};
  }
  return {};
}

// The channels' weights, [C, 1, 1] or [1, C, 1, 1].
bool is_of_channels(const Node* weight, const Node& x) {
  if (weight == nullptr || !weight->is_get_attr() || !weight->meta()) return false;
  Sizes sizes = weight->meta()->sizes;
  const Sizes& of_x = x.sizes();
  if (sizes.size() > of_x.size() || of_x.size() < 2) return false;
  sizes.insert(sizes.begin(), of_x.size() - sizes.size(), 1);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != (i == 1 ? of_x[1] : 1)) return false;
  }
  return true;
}

// reshape(instance_norm(reshape(x, [N, G, -1]))) is a norm of groups, before its weights
Merged bare_group_norm(GraphModule& /*module*/, Node& last) {
  Node* norm = input_of(last);
  if (!is_alone(norm) || !norm->is_call("aten.instance_norm.default") || !norm->arg(1).is_none()) return {};
  Node* split = input_of(*norm);
  if (!is_alone(split) || !split->is_call("aten.reshape.default") || !split->meta() || !last.meta()) return {};
  Node* x = input_of(*split);
  if (x == nullptr || !x->meta() || x->meta()->sizes != last.meta()->sizes || x->meta()->rank() < 3) return {};
  const Sizes& sizes = split->meta()->sizes;
  if (sizes.size() != 3 || sizes[0] != x->sizes()[0] || sizes[1] < 1 || x->sizes()[1] % sizes[1] != 0) return {};
  return {"aten.group_norm.default", {Arg(x), Arg(sizes[1]), Arg(), Arg(), norm->arg("eps"), Arg(true)}};
}

// The same parameter as a vector, read in front of `last`.
Node* as_vector(GraphModule& module, Node* weight, Node& last) {
  const at::Tensor tensor = module.attr(weight->target());
  const at::Tensor flat = tensor.detach().reshape({-1}).clone().set_requires_grad(tensor.requires_grad());
  const AttrKind kind = module.attr_kind(weight->target());
  const bool is_only = module.reader_count(weight->target(), 2) == 1 && weight->user_count() == 1;
  const std::string name = is_only ? weight->target() : module.free_name(weight->target());
  module.set_attr(name, flat, kind);
  const auto at = module.graph().inserting_before(&last);
  Node* read = module.graph().get_attr(name);
  read->set_meta(TensorMeta{flat.scalar_type(), flat.sizes().vec()});
  return read;
}

template <size_t kSlot>
Merged group_norm_and(GraphModule& module, Node& last) {
  for (const size_t index : {0, 1}) {
    Node* norm = input_of(last, index);
    Node* weight = input_of(last, 1 - index);
    if (!is_alone(norm) || !norm->is_call("aten.group_norm.default") || !norm->arg(kSlot).is_none()) continue;
    if ((kSlot == 3 && norm->arg(2).is_none()) || !is_of_channels(weight, *norm)) continue;
    std::vector<Arg> args = norm->args();
    args[kSlot] = Arg(as_vector(module, weight, last));
    return {"aten.group_norm.default", std::move(args)};
  }
  return {};
}

// --- parts

// squeeze(x[:, i : i + 1], 1): exporters write unbind and select so
Merged select(GraphModule& /*module*/, Node& last) {
  Node* slice = input_of(last);
  if (!is_alone(slice) || !slice->is_call("aten.slice.Tensor")) return {};
  const std::optional<double> begin = number_in(slice->arg("start"));
  Node* x = input_of(*slice);
  if (!begin || x == nullptr || slice->arg("dim").to_int() != last.arg(1).to_int()) return {};
  return {"aten.select.int", {Arg(x), last.arg(1), Arg(static_cast<int64_t>(*begin))}};
}

// --- attention

// k of transpose(k), whose last two dimensions are turned, perhaps between reshapes
Node* turned_key(Node* node) {
  if (node == nullptr || !node->meta()) return nullptr;
  if (node->is_call("aten.permute.default") && swaps_last_two(*node)) return input_of(*node);
  if (!node->is_call("aten.reshape.default")) return nullptr;
  Node* turned = input_of(*node);
  if (turned == nullptr || !turned->is_call("aten.permute.default") || !swaps_last_two(*turned)) return nullptr;
  Node* flat = input_of(*turned);
  if (flat == nullptr || !flat->is_call("aten.reshape.default")) return nullptr;
  Node* key = input_of(*flat);
  if (key == nullptr || !key->meta() || key->meta()->rank() != node->meta()->rank()) return nullptr;
  Sizes sizes = key->sizes();
  const size_t rank = sizes.size();
  if (rank < 2) return nullptr;
  const Sizes& of_flat = flat->sizes();
  const bool keeps =
      of_flat.size() >= 2 && of_flat.back() == sizes[rank - 1] && of_flat[of_flat.size() - 2] == sizes[rank - 2];
  std::swap(sizes[rank - 1], sizes[rank - 2]);
  return keeps && sizes == node->sizes() ? key : nullptr;
}

// The number that a value is multiplied by.
std::optional<double> factor_of(const Node* node) {
  return node != nullptr && node->is_call("aten.mul.Tensor") ? number_in(node->arg(1)) : std::nullopt;
}

// softmax((q s) (k s)^T + mask) v: torch's exporters scale both, each by the root
Merged attention(GraphModule& /*module*/, Node& last) {
  Node* weights = input_of(last);
  Node* scores = under(weights, "aten.softmax.int");
  if (scores == nullptr || !scores->meta() || weights->arg("dim").to_int() != scores->meta()->rank() - 1) return {};
  Arg mask;
  if (is_alone(scores) && scores->is_call("aten.add.Tensor") && is_number(scores->arg("alpha"), 1.0)) {
    Node* product = input_of(*scores);
    const bool first = product != nullptr && product->is_call("aten.matmul.default");
    Node* added = input_of(*scores, first ? 1 : 0);
    if (!first) product = input_of(*scores, 1);
    if (added == nullptr || product == nullptr || !product->meta() || product->sizes() != scores->sizes()) return {};
    mask = Arg(added);
    scores = product;
  }
  if (!is_alone(scores) || !scores->is_call("aten.matmul.default")) return {};
  Node* query = input_of(*scores);
  Node* key = input_of(*scores, 1);
  const std::optional<double> of_query = factor_of(query);
  const std::optional<double> of_key = factor_of(key);
  if (!of_query || !of_key || !is_near(*of_query, *of_key)) return {};
  Node* plain_key = turned_key(input_of(*key));
  Node* value = input_of(last, 1);
  if (plain_key == nullptr || value == nullptr || !value->meta()) return {};
  Node* plain_query = input_of(*query);
  if (plain_query == nullptr || !plain_query->meta()) return {};
  const Sizes& sizes = plain_query->sizes();
  // The width's own root is ATen's default, which torch.export leaves out.
  const double scale = *of_query * *of_key;
  const bool usual = is_near(scale, 1.0 / std::sqrt(static_cast<double>(sizes.back())));
  return {"aten.scaled_dot_product_attention.default",
          {Arg(plain_query), Arg(plain_key), Arg(value), mask, Arg(0.0), Arg(false), usual ? Arg() : Arg(scale)}};
}

const MergeRow kMergeRows[] = {
    {"aten.add.Tensor", linear_and_bias},
    {"aten.add.Tensor", layer_norm_and<3>},
    {"aten.add.Tensor", group_norm_and<3>},
    {"aten.mul.Tensor", silu},
    {"aten.mul.Tensor", hardswish},
    {"aten.mul.Tensor", written_hardswish},
    {"aten.div.Tensor", written_hardswish},
    {"aten.mul.Tensor", mish},
    {"aten.mul.Tensor", gelu},
    {"aten.mul.Tensor", layer_norm_and<2>},
    {"aten.mul.Tensor", group_norm_and<2>},
    {"aten.div.Tensor", bare_layer_norm},
    {"aten.reshape.default", bare_group_norm},
    {"aten.matmul.default", attention},
    {"aten.squeeze.dim", select},
};

bool merge(GraphModule& module, Node* last) {
  for (const MergeRow& row : kMergeRows) {
    if (!last->is_call(row.op)) continue;
    const Merged whole = row.merge(module, *last);
    if (whole.op.empty()) continue;
    Node* made = nullptr;
    {
      const auto at = module.graph().inserting_before(last);
      made = module.graph().call(whole.op, whole.args);
    }
    made->set_meta(last->meta());
    made->notes() = last->notes();
    last->replace_all_uses_with(made);
    module.graph().erase(last);
    return true;
  }
  return false;
}

// --- moves that undo one another

// What the value was before moves that came to nothing; nullptr where they came to something.
Node* moved_back(const Node& node) {
  if (!node.is_call() || !node.meta()) return nullptr;
  Node* before = node.args().empty() ? nullptr : input_of(node);
  if (before == nullptr || !before->is_call()) return nullptr;
  const Node* source = before->args().empty() ? nullptr : input_of(*before);
  if (source == nullptr || !source->meta()) return nullptr;
  const bool same = source->meta() == node.meta();
  if (node.is_call("aten.squeeze.dim") && before->is_call("aten.unsqueeze.default")) {
    return same && node.arg(1).to_int() == before->arg(1).to_int() ? input_of(*before) : nullptr;
  }
  if (node.is_call("aten.reshape.default") && before->is_call("aten.reshape.default"))
    return same ? input_of(*before) : nullptr;
  if (node.is_call("aten.permute.default") && before->is_call("aten.permute.default")) {
    const Sizes first = before->arg(1).to_ints();
    const Sizes second = node.arg(1).to_ints();
    for (size_t i = 0; i < second.size(); ++i) {
      const int64_t at = second[i] < 0 ? second[i] + static_cast<int64_t>(second.size()) : second[i];
      if (first[static_cast<size_t>(at)] != static_cast<int64_t>(i)) return nullptr;
    }
    return input_of(*before);
  }
  return nullptr;
}

}  // namespace

size_t merge_patterns(GraphModule& module) {
  size_t merged = 0;
  for (Node* node : module.graph().nodes()) {
    if (Node* source = moved_back(*node)) {
      node->replace_all_uses_with(source);
      module.graph().erase(node);
      ++merged;
    } else if (node->is_call() && merge(module, node)) {
      ++merged;
    }
  }
  module.graph().eliminate_dead_code();
  module.erase_unused();
  return merged;
}

}  // namespace octet::onnx
