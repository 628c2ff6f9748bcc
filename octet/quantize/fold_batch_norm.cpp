#include "octet/quantize/fold_batch_norm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>

#include "octet/graph/constant_value.h"
#include "octet/quantize/compare.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

bool is_attr_or_none(const Arg& arg) { return arg.is_none() || (arg.is_node() && arg.node()->is_get_attr()); }
// The same, or computed from such: a standardized weight.
bool is_static_or_none(const Arg& arg) { return arg.is_none() || (arg.is_node() && is_constant_value(*arg.node())); }

// The node that others read the normalized tensor from, or nullptr where the statistics are read too.
Node* value_of(Node* batch_norm) {
  if (!batch_norm->is(Trait::kGivesTuple)) return batch_norm;
  Node* value = nullptr;
  for (Node* user : batch_norm->users()) {
    if (user->kind() != NodeKind::kGetItem) return nullptr;
    if (user->arg(1).to_int() == 0) {
      if (value != nullptr) return nullptr;
      value = user;
    } else if (user->user_count() > 0) {
      return nullptr;
    }
  }
  return value;
}

// Gives argument `index` of `conv` the value, in the attribute that it reads or, where others read that too, in a new
// one.
void set_parameter(GraphModule& module, Node* conv, size_t index, const std::string& fallback,
                   const at::Tensor& value) {
  const Arg& current = conv->arg(index);
  Graph& graph = module.graph();
  std::string name = fallback;
  if (current.is_node() && current.node()->is_get_attr()) {
    name = current.node()->target();
    if (module.reader_count(name, 2) == 1) {
      module.set_attr(name, value, module.attr_kind(name));
      current.node()->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
      return;
    }
  }
  name = module.free_name(name);
  module.set_attr(name, value, AttrKind::kParameter);
  const auto point = graph.inserting_before(conv);
  Node* read = graph.get_attr(name);
  read->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
  conv->set_arg(index, Arg(read));
}

std::string bias_name(const std::string& weight) {
  const std::string suffix = "weight";
  if (weight.size() >= suffix.size() && weight.compare(weight.size() - suffix.size(), suffix.size(), suffix) == 0) {
    return weight.substr(0, weight.size() - suffix.size()) + "bias";
  }
  return weight + "_bias";
}

// A pair, or one number for both axes.
std::optional<std::array<int64_t, 2>> two_numbers(const Op& op, const std::vector<c10::IValue>& arguments,
                                                  const char* name) {
  const int index = op.argument_index(name);
  if (index < 0 || static_cast<size_t>(index) >= arguments.size()) return std::nullopt;
  const c10::IValue& value = arguments[static_cast<size_t>(index)];
  if (!value.isIntList()) return std::nullopt;
  const std::vector<int64_t> numbers = value.toIntVector();
  if (numbers.size() == 1) return std::array{numbers[0], numbers[0]};
  if (numbers.size() == 2) return std::array{numbers[0], numbers[1]};
  return std::nullopt;
}

template <typename ArgumentAt>
std::optional<ConvInfo> info_of(const Op& op, const ArgumentAt& at) {
  if (!op.is(Trait::kLinear) && !op.is(Trait::kConvolution)) return std::nullopt;
  ConvInfo info;
  info.is_linear = op.is(Trait::kLinear);
  const int transposed = op.argument_index("transposed");
  info.is_transposed = op.is(Trait::kTransposed) || (transposed >= 0 && at(transposed).toBool());
  if (!info.is_linear) info.groups = at(op.argument_index("groups")).toInt();
  return info;
}

// A program that was loaded computes weights as it likes.
void check_weight(const at::Tensor& weight, const ConvInfo& info) {
  const int64_t least = info.is_linear ? 2 : 3;
  if (weight.dim() < least) {
    throw expected("conv-bn", "weight dimensions", str(least, " or more"), str(weight.dim()));
  }
  if (info.groups < 1) throw expected("conv-bn", "groups", "1 or more", str(info.groups));
  if (info.is_transposed && weight.size(0) % info.groups != 0) {
    throw expected("conv-bn", "weight rows", str("a multiple of ", info.groups, " groups"), str(weight.size(0)));
  }
}

}  // namespace

std::optional<ConvGeometry> conv_geometry(const Op& op, const std::vector<c10::IValue>& arguments) {
  const auto stride = two_numbers(op, arguments, "stride");
  const auto padding = two_numbers(op, arguments, "padding");
  const auto dilation = two_numbers(op, arguments, "dilation");
  const int groups = op.argument_index("groups");
  if (!stride || !padding || !dilation || groups < 0) return std::nullopt;
  const int transposed = op.argument_index("transposed");
  if (op.is(Trait::kTransposed) || (transposed >= 0 && arguments.at(transposed).toBool())) return std::nullopt;
  return ConvGeometry{*stride, *padding, *dilation, arguments.at(groups).toInt()};
}

std::optional<ConvInfo> conv_info(const Node& node) {
  if (!node.is_call()) return std::nullopt;
  return info_of(node.op(), [&](size_t index) { return node.args().at(index).constant(); });
}

std::optional<ConvInfo> conv_info(const Op& op, const std::vector<c10::IValue>& arguments) {
  return info_of(op, [&](size_t index) { return arguments.at(index); });
}

double ConvBatchNorm::eps() const { return batch_norm->arg("eps").to_double(); }
double ConvBatchNorm::momentum() const { return batch_norm->arg("momentum").to_double(); }
bool ConvBatchNorm::training() const {
  return batch_norm->has_arg("training") && batch_norm->arg("training").to_bool();
}

std::vector<ConvBatchNorm> find_conv_batch_norms(Graph& graph) {
  std::vector<ConvBatchNorm> found;
  for (Node* node : graph.nodes()) {
    if (!node->is(Trait::kBatchNorm) || !node->arg(0).is_node()) continue;
    Node* conv = node->arg(0).node();
    const std::optional<ConvInfo> info = conv_info(*conv);
    if (!info || conv->user_count() != 1) continue;
    if (info->is_linear && (!conv->meta() || conv->meta()->rank() != 2)) continue;
    bool is_static = conv->arg(1).is_node() && is_static_or_none(conv->arg(1)) && is_static_or_none(conv->arg(2));
    for (const char* name : {"weight", "bias"}) is_static = is_static && is_attr_or_none(node->arg(name));
    for (const char* name : {"running_mean", "running_var"}) {
      is_static = is_static && node->arg(name).is_node() && node->arg(name).node()->is_get_attr();
    }
    Node* value = value_of(node);
    if (is_static && value != nullptr) found.push_back({conv, node, value, *info});
  }
  return found;
}

at::Tensor static_value(const GraphModule& module, const Arg& arg) {
  if (arg.is_none()) return {};
  return arg.node()->is_get_attr() ? module.attr(arg.node()->target()) : constant_value(module, *arg.node());
}

at::Tensor batch_norm_factor(const at::Tensor& gamma, const at::Tensor& running_var, double eps) {
  const at::Tensor deviation = (running_var + eps).sqrt();
  return gamma.defined() ? gamma / deviation : deviation.reciprocal();
}

at::Tensor scale_weight(const at::Tensor& weight, const at::Tensor& factor, const ConvInfo& info) {
  check_weight(weight, info);
  std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
  if (!info.is_transposed || info.groups == 1) {
    shape[static_cast<size_t>(info.weight_axis())] = factor.numel();
    return weight * factor.view(shape);
  }
  // [in, out/groups, ...]: the rows of one group see that group's own output channels.
  std::vector<int64_t> grouped = {info.groups, weight.size(0) / info.groups};
  std::vector<int64_t> factors = {info.groups, 1, weight.size(1)};
  for (int64_t axis = 1; axis < weight.dim(); ++axis) grouped.push_back(weight.size(axis));
  for (int64_t axis = 2; axis < weight.dim(); ++axis) factors.push_back(1);
  return (weight.reshape(grouped) * factor.view(factors)).reshape(weight.sizes());
}

at::Tensor fold_bias(const at::Tensor& bias, const at::Tensor& beta, const at::Tensor& running_mean,
                     const at::Tensor& factor) {
  at::Tensor folded = (bias.defined() ? bias - running_mean : -running_mean) * factor;
  return beta.defined() ? folded + beta : folded;
}

void set_folded_parameters(GraphModule& module, Node* conv, const at::Tensor& folded_weight,
                           const at::Tensor& folded_bias) {
  const Node* read = conv->arg(1).node();
  const std::string weight = read->is_get_attr() ? read->target() : conv->name() + "_weight";
  const bool trains =
      read->is_get_attr() && module.attr_kind(weight) == AttrKind::kParameter && module.attr(weight).requires_grad();
  const auto ready = [&](const at::Tensor& value) { return value.detach().set_requires_grad(trains); };
  set_parameter(module, conv, 1, weight, ready(folded_weight));
  set_parameter(module, conv, 2, bias_name(weight), ready(folded_bias));
}

size_t fold_batch_norms(GraphModule& module) {
  const at::NoGradGuard no_grad;
  size_t folded = 0;
  for (const ConvBatchNorm& pair : find_conv_batch_norms(module.graph())) {
    if (pair.training()) {
      const bool keeps_statistics = !pair.batch_norm->arg("running_mean").is_none();
      log::warn(pair.batch_norm->where(),
                keeps_statistics ? " stays: it is in train mode; switch the model to eval before it is prepared"
                                 : " stays: it keeps no statistics and normalizes by those of each batch; give it "
                                   "track_running_stats=True");
      continue;
    }
    const auto value = [&](const char* name) { return static_value(module, pair.batch_norm->arg(name)); };
    const at::Tensor factor = batch_norm_factor(value("weight"), value("running_var"), pair.eps());
    const at::Tensor weight = scale_weight(static_value(module, pair.conv->arg(1)), factor, pair.info);
    const at::Tensor bias =
        fold_bias(static_value(module, pair.conv->arg(2)), value("bias"), value("running_mean"), factor);
    set_folded_parameters(module, pair.conv, weight, bias);
    pair.conv->notes()[kFloatNameNote] = pair.value->name();
    pair.value->replace_all_uses_with(pair.conv);
    ++folded;
  }
  if (folded > 0) {
    drop_batch_counters(module.graph(), module);
    module.graph().eliminate_dead_code();
    module.erase_unused();
  }
  return folded;
}

void drop_batch_counters(Graph& graph, const GraphModule& module) {
  for (Node* node : graph.nodes()) {
    if (!node->is_call("aten.add_.Tensor") || node->user_count() > 0 || !node->arg(1).is_constant()) continue;
    Node* counter = node->arg(0).node();
    if (counter == nullptr || !counter->is_get_attr()) continue;
    const at::Tensor value = module.attr(counter->target());
    if (value.dim() == 0 && at::isIntegralType(value.scalar_type(), /*includeBool=*/false)) graph.erase(node);
  }
}

}  // namespace octet
