#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <numeric>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_convolution(const Node& node) {
  return node.is_call("aten.conv2d.default") || node.is_call("aten.conv2d.padding");
}

// The convolution's groups where it can be split, else 0.
int64_t groups_to_split(const Node& conv, int64_t least) {
  const Node* input = conv.arg("input").node();
  const Node* weight = conv.arg("weight").node();
  if (input == nullptr || !input->meta() || !conv.meta() || !is_static(weight) || !weight->meta()) return 0;
  if (!is_static_or_none(conv.arg("bias"))) return 0;
  const int64_t groups = conv.arg("groups").to_int();
  const int64_t rank = weight->meta()->rank();
  if (groups < least || input->meta()->rank() != rank) return 0;
  const int64_t channels_in = input->sizes()[1];
  const int64_t channels_out = weight->sizes()[0];
  const bool depthwise = channels_in == groups && channels_out == groups;
  return depthwise || channels_out % groups != 0 ? 0 : groups;
}

// Neighbouring groups [first, last) go into each part, as evenly as their number allows.
void split(GraphModule& module, Node* conv, int64_t groups, int64_t parts) {
  const at::NoGradGuard no_grad;
  Graph& graph = module.graph();
  const auto here = graph.inserting_before(conv);
  Node* input = conv->arg("input").node();
  const Node* weight = conv->arg("weight").node();
  const Node* bias = conv->arg("bias").node();
  std::vector<int64_t> out_sizes = conv->sizes();
  const int64_t inputs = input->sizes()[1] / groups;
  const int64_t outputs = out_sizes[1] / groups;
  const auto piece_of = [&](const Node* attr, const at::Tensor& values, int64_t part) {
    return add_attr(module, octet::str(attr->target(), "_group_", part), values, module.attr_kind(attr->target()));
  };
  std::vector<Arg> pieces;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * groups / parts, count = (part + 1) * groups / parts - first;
    out_sizes[1] = count * outputs;
    const auto own = [&](const Node* attr) {
      return module.attr(attr->target()).detach().narrow(0, first * outputs, out_sizes[1]);
    };
    std::vector<Arg> args = conv->args();
    args[0] = add_slice(input, 1, first * inputs, (first + count) * inputs, *conv);
    args[1] = piece_of(weight, with_groups(own(weight), count, 1), part);
    if (bias != nullptr) args[2] = piece_of(bias, own(bias), part);
    Node* piece = add_call(conv->target(), std::move(args), out_sizes, *conv, octet::str(conv->name(), "_group"));
    piece->set_arg("groups", int64_t{1});
    pieces.emplace_back(piece);
  }
  replace_node(conv, add_call("aten.cat.default", {Arg(std::move(pieces)), int64_t{1}}, conv->sizes(), *conv));
}

// ---- transposed convolutions: weights of [in, out / groups, h, w] --------------------------------------------------

int64_t transposed_groups_to_split(const Node& conv) {
  if (!conv.is_call("aten.conv_transpose2d.input")) return 0;
  const Node* input = conv.arg("input").node();
  const Node* weight = conv.arg("weight").node();
  if (input == nullptr || !input->meta() || input->meta()->rank() != 4 || !conv.meta() || !is_static(weight) ||
      !weight->meta() || !is_static_or_none(conv.arg("bias"))) {
    return 0;
  }
  const int64_t groups = conv.arg("groups").to_int();
  return groups > 1 && input->sizes()[1] % groups == 0 ? groups : 0;
}

// [in, out / groups, h, w] of as many groups as one of one group: zero between what was apart.
at::Tensor joined_transposed(const at::Tensor& weight, int64_t groups) {
  const int64_t inputs = weight.size(0) / groups, outputs = weight.size(1);
  at::Tensor whole = at::zeros({weight.size(0), outputs * groups, weight.size(2), weight.size(3)}, weight.options());
  for (int64_t group = 0; group < groups; ++group) {
    whole.narrow(0, group * inputs, inputs)
        .narrow(1, group * outputs, outputs)
        .copy_(weight.narrow(0, group * inputs, inputs));
  }
  return whole;
}

void split_transposed(GraphModule& module, Node* conv, int64_t groups, int64_t parts) {
  const at::NoGradGuard no_grad;
  const auto here = module.graph().inserting_before(conv);
  Node* input = conv->arg("input").node();
  const Node* weight = conv->arg("weight").node();
  const Node* bias = conv->arg("bias").node();
  const int64_t inputs = input->sizes()[1] / groups, outputs = weight->sizes()[1];
  const auto piece_of = [&](const Node* attr, const at::Tensor& values, int64_t part) {
    return add_attr(module, octet::str(attr->target(), "_group_", part), values, module.attr_kind(attr->target()));
  };
  std::vector<Arg> pieces;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * groups / parts, count = (part + 1) * groups / parts - first;
    std::vector<int64_t> sizes = conv->sizes();
    sizes[1] = count * outputs;
    std::vector<Arg> args = conv->args();
    args[0] = add_slice(input, 1, first * inputs, (first + count) * inputs, *conv);
    const at::Tensor own = module.attr(weight->target()).detach().narrow(0, first * inputs, count * inputs);
    args[1] = piece_of(weight, joined_transposed(own, count), part);
    if (bias != nullptr) {
      args[2] = piece_of(bias, module.attr(bias->target()).detach().narrow(0, first * outputs, sizes[1]), part);
    }
    Node* piece = add_call(conv->target(), std::move(args), sizes, *conv, octet::str(conv->name(), "_group"));
    piece->set_arg("groups", int64_t{1});
    pieces.emplace_back(piece);
  }
  if (parts == 1) return replace_node(conv, pieces.front().node());
  replace_node(conv, add_call("aten.cat.default", {Arg(std::move(pieces)), int64_t{1}}, conv->sizes(), *conv));
}

// How many filters each channel has in a convolution of as many groups as input channels.
int64_t filters_a_channel(const Node& conv, int64_t groups) {
  const bool one_channel = conv.arg("input").node()->sizes()[1] == groups;
  return one_channel ? conv.arg("weight").node()->sizes()[0] / groups : 1;
}

// The first filters of all channels are one depthwise convolution, the second ones another; their results are put side
// by side, channel for channel.
void split_filters(GraphModule& module, Node* conv, int64_t groups, int64_t filters) {
  const at::NoGradGuard no_grad;
  const auto here = module.graph().inserting_before(conv);
  const std::vector<int64_t>& sizes = conv->sizes();
  std::vector<int64_t> one = sizes;
  one[1] = groups;
  const auto filters_of = [&](const Node* attr, int64_t filter) {
    const at::Tensor values = module.attr(attr->target()).detach();
    return add_attr(module, octet::str(attr->target(), "_filter_", filter),
                    values.slice(0, filter, values.size(0), filters), module.attr_kind(attr->target()));
  };
  std::vector<Arg> pieces;
  for (int64_t filter = 0; filter < filters; ++filter) {
    std::vector<Arg> args = conv->args();
    args[1] = filters_of(conv->arg("weight").node(), filter);
    if (const Node* bias = conv->arg("bias").node()) args[2] = filters_of(bias, filter);
    pieces.emplace_back(add_call(conv->target(), std::move(args), one, *conv, octet::str(conv->name(), "_filter")));
  }
  Node* joined = add_call("aten.cat.default", {Arg(std::move(pieces)), int64_t{1}}, sizes, *conv);
  const int64_t places = std::accumulate(sizes.begin() + 2, sizes.end(), int64_t{1}, std::multiplies<>());
  joined = add_reshape(joined, {sizes[0], filters, groups, places}, 0, *conv);
  joined = add_reshape(add_permute(joined, {0, 2, 1, 3}, *conv), sizes, 0, *conv);
  replace_node(conv, joined);
}

}  // namespace

int64_t group_parts(int64_t groups, int64_t most, int64_t joined) {
  int64_t parts = std::min(groups, most);
  while (parts > 1 && groups % parts != 0) --parts;
  if (parts * joined >= groups) return parts;
  return most * joined >= groups ? most : 1;
}

bool split_group_convolutions(GraphModule& module, int64_t least, int64_t most, int64_t joined) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), is_convolution)) {
    const int64_t groups = groups_to_split(*node, least);
    if (groups == 0) continue;
    const int64_t filters = filters_a_channel(*node, groups);
    const int64_t parts = group_parts(groups, most, joined);
    if (groups > most && filters > 1 && filters <= most) {
      split_filters(module, node, groups, filters);
    } else if (parts > 1) {
      split(module, node, groups, parts);
    } else {
      continue;
    }
    changed = true;
  }
  return changed;
}

bool split_transposed_groups(GraphModule& module, int64_t most, int64_t joined) {
  bool changed = false;
  for (Node* node :
       calls_where(module.graph(), [](const Node& each) { return transposed_groups_to_split(each) > 0; })) {
    const int64_t groups = transposed_groups_to_split(*node);
    if (most * joined < groups) continue;
    split_transposed(module, node, groups, groups <= joined ? 1 : group_parts(groups, most, joined));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets
