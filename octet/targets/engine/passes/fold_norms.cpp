#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <unordered_map>

#include "octet/quantize/compare.h"
#include "octet/targets/engine/passes/norms.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Ints = std::vector<int64_t>;

// A value that is the norm's in another arrangement, and the dimension in which its channels are.
struct MovedNorm {
  Node* node = nullptr;
  int64_t channels = 0;
};

// What a norm alone goes to: products that take its weight and bias, and what moves it there.
struct NormReaders {
  std::vector<Node*> products;
  std::vector<Node*> moves;
};

int64_t count_before(const Ints& sizes, int64_t count) {
  return std::accumulate(sizes.begin(), sizes.begin() + count, int64_t{1}, std::multiplies<>());
}

bool is_call_of(const Node& node, std::initializer_list<OpName> ops) {
  return std::any_of(ops.begin(), ops.end(), [&](OpName op) { return node.is_call(op); });
}

std::optional<int64_t> channels_behind_reshape(const MovedNorm& from, const Node& reshape) {
  const Ints& sizes = from.node->sizes();
  const int64_t before = count_before(sizes, from.channels);
  for (int64_t dim = 0; dim < reshape.meta()->rank(); ++dim) {
    const bool is_it = reshape.sizes()[static_cast<size_t>(dim)] == sizes[static_cast<size_t>(from.channels)] &&
                       count_before(reshape.sizes(), dim) == before;
    if (is_it) return dim;
  }
  return std::nullopt;
}

// Where the channels are behind an operator that gives every channel's values again, or averages of them.
std::optional<int64_t> channels_behind(const MovedNorm& from, const Node& reader) {
  if (!reader.meta() || reader.inputs().size() != 1) return std::nullopt;
  const int64_t rank = from.node->meta()->rank(), channels = from.channels;
  const auto dim = [&](const char* name) { return positive_dim(reader.arg(name).to_int(), rank); };
  const auto dims = [&](const char* name) {
    Ints found = reader.arg(name).is_none() ? Ints{} : reader.arg(name).to_ints();
    for (int64_t& each : found) each = positive_dim(each, rank);
    return found;
  };
  const auto unless = [&](bool touches) { return touches ? std::nullopt : std::optional(channels); };
  const auto has_channels = [&](const Ints& of) { return std::find(of.begin(), of.end(), channels) != of.end(); };
  if (reader.is_call("aten.dropout.default")) return channels;
  if (reader.is_call("aten.slice.Tensor")) return unless(dim("dim") == channels);
  if (reader.is_call("aten.roll.default")) return unless(dims("dims").empty() || has_channels(dims("dims")));
  if (reader.is_call("aten.adaptive_avg_pool2d.default")) return unless(channels >= rank - 2);
  if (is_call_of(reader, {"aten.reshape.default", "aten.view.default", "aten.flatten.using_ints"})) {
    return channels_behind_reshape(from, reader);
  }
  if (reader.is_call("aten.permute.default")) {
    const Ints order = dims("dims");
    return std::find(order.begin(), order.end(), channels) - order.begin();
  }
  if (reader.is_call("aten.transpose.int")) {
    if (dim("dim0") == channels) return dim("dim1");
    return dim("dim1") == channels ? dim("dim0") : channels;
  }
  if (reader.is_call("aten.select.int")) {
    if (dim("dim") == channels) return std::nullopt;
    return dim("dim") < channels ? channels - 1 : channels;
  }
  if (reader.is_call("aten.mean.dim")) {
    const Ints averaged = dims("dim");
    if (averaged.empty() || has_channels(averaged)) return std::nullopt;
    if (reader.arg("keepdim").to_bool()) return channels;
    return channels - std::count_if(averaged.begin(), averaged.end(), [&](int64_t each) { return each < channels; });
  }
  return std::nullopt;
}

// How many nodes read each tensor of the module.
using AttrReads = std::unordered_map<std::string, size_t>;

AttrReads attr_reads(const Graph& graph) {
  AttrReads reads;
  for (const Node* node : graph.nodes()) {
    if (node->is_get_attr()) reads[node->target()] += node->user_count();
  }
  return reads;
}

// A linear over the channels, or a convolution of them that pads nothing: a pad is 0, not the norm's bias.
bool takes_norm(const GraphModule& module, const AttrReads& reads, const MovedNorm& from, const Node& reader) {
  const bool is_linear = reader.is_call("aten.linear.default");
  const bool is_convolution = is_call_of(reader, {"aten.conv1d.default", "aten.conv2d.default"});
  if (!is_linear && !is_convolution) return false;
  const Node* weight = reader.arg("weight").node();
  if (reader.arg("input").node() != from.node || !is_static(weight) || !is_static_or_none(reader.arg("bias"))) {
    return false;
  }
  const at::Tensor value = module.attr(weight->target());
  if (value.scalar_type() != at::kFloat || reads.at(weight->target()) > 1) return false;
  // As a file declares it; what does not fit is an error of the run.
  const int64_t groups = is_linear ? 1 : reader.arg("groups").to_int();
  const int64_t inputs = value.dim() < 2 ? 0 : value.size(1) * groups;
  if (value.numel() == 0 || inputs != from.node->sizes()[static_cast<size_t>(from.channels)]) return false;
  if (value.size(0) % groups != 0) return false;
  const Node* bias = reader.arg("bias").node();
  if (bias != nullptr && module.attr(bias->target()).sizes() != at::IntArrayRef{value.size(0)}) return false;
  const int64_t rank = from.node->meta()->rank();
  if (is_linear) return from.channels == rank - 1;
  if (from.channels != 1 || rank != value.dim()) return false;
  const Ints padding = reader.arg("padding").to_ints();
  return std::all_of(padding.begin(), padding.end(), [](int64_t each) { return each == 0; });
}

std::optional<NormReaders> norm_readers(const GraphModule& module, const AttrReads& reads, const MovedNorm& norm) {
  NormReaders found;
  std::vector<MovedNorm> open = {norm};
  while (!open.empty()) {
    const MovedNorm from = open.back();
    open.pop_back();
    for (Node* reader : from.node->users()) {
      if (!reader->is_call()) return std::nullopt;
      if (takes_norm(module, reads, from, *reader)) {
        found.products.push_back(reader);
      } else if (const std::optional<int64_t> channels = channels_behind(from, *reader)) {
        found.moves.push_back(reader);
        open.push_back({reader, *channels});
      } else {
        return std::nullopt;
      }
    }
  }
  return found.products.empty() ? std::nullopt : std::optional(found);
}

struct NormAffine {
  at::Tensor weight;  // [channels], in double
  at::Tensor bias;    // the same; undefined: none
};

at::Tensor channels_of(const GraphModule& module, const Node& norm, const char* argument) {
  if (!norm.has_arg(argument) || norm.arg(argument).is_none()) return {};
  return module.attr(norm.arg(argument).node()->target()).detach().to(at::kDouble);
}

// The product of `affine` of its input.
void take_norm(GraphModule& module, const NormAffine& affine, Node* reader) {
  const Node* old = reader->arg("weight").node();
  const at::Tensor weight = module.attr(old->target()).detach().to(at::kDouble);
  const int64_t outputs = weight.size(0), inputs = weight.size(1);
  const int64_t groups = affine.weight.numel() / inputs;
  // [groups, outputs of one, inputs of one, taps]
  const at::Tensor grouped = weight.reshape({groups, outputs / groups, inputs, -1});
  const at::Tensor scaled = grouped * affine.weight.reshape({groups, 1, inputs, 1});
  const std::string base = old->target();
  const auto here = module.graph().inserting_before(reader);
  if (affine.bias.defined()) {
    at::Tensor bias = (grouped * affine.bias.reshape({groups, 1, inputs, 1})).sum({2, 3}).reshape({outputs});
    if (const Node* before = reader->arg("bias").node()) bias = bias + module.attr(before->target()).detach();
    reader->set_arg("bias", add_attr(module, base + "_norm_bias", bias.to(at::kFloat), AttrKind::kParameter));
  }
  const at::Tensor folded = scaled.reshape(weight.sizes()).to(at::kFloat);
  reader->set_arg("weight", add_attr(module, base + "_with_norm", folded, AttrKind::kParameter));
}

bool fold_norm(GraphModule& module, const AttrReads& reads, Node* node) {
  const Norm norm = *norm_of(*node);
  const bool of_rows = is_call_of(*node, {"aten.layer_norm.default", "aten.rms_norm.default"});
  if (norm.is_unit || (of_rows && norm.affine.size() != 1)) return false;
  for (const char* argument : {"weight", "bias"}) {
    if (node->has_arg(argument) && !is_static_or_none(node->arg(argument))) return false;
  }
  const int64_t rank = node->meta()->rank();
  const int64_t channels = of_rows ? rank - 1 : 1;
  NormAffine affine{channels_of(module, *node, "weight"), channels_of(module, *node, "bias")};
  if (!affine.weight.defined() && !affine.bias.defined()) return false;
  const int64_t count = node->sizes()[static_cast<size_t>(channels)];
  if (!affine.weight.defined()) affine.weight = at::ones({count}, at::kDouble);
  for (const at::Tensor& each : {affine.weight, affine.bias}) {
    if (each.defined() && each.sizes() != at::IntArrayRef{count}) return false;
  }
  const std::optional<NormReaders> readers = norm_readers(module, reads, {node, channels});
  if (!readers) return false;

  for (Node* reader : readers->products) take_norm(module, affine, reader);
  node->set_arg("weight", Arg());
  if (affine.bias.defined()) node->set_arg("bias", Arg());
  // No longer the values that the model has by these names.
  for (Node* moved : readers->moves) moved->notes()[kFloatNameNote] = float_name(*moved) + "/plain";
  node->notes()[kFloatNameNote] = float_name(*node) + "/plain";
  return true;
}

}  // namespace

bool fold_norms(GraphModule& module) {
  const at::NoGradGuard no_grad;
  const AttrReads reads = attr_reads(module.graph());
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& n) { return norm_of(n).has_value(); })) {
    changed |= fold_norm(module, reads, node);
  }
  return changed;
}

}  // namespace octet::targets
