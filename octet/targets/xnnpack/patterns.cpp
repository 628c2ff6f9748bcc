#include "octet/targets/xnnpack/patterns.h"

#include <cmath>

#include "octet/graph/match.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/support/error.h"
#include "octet/targets/xnnpack/memory_order.h"

namespace octet::xnnpack {
namespace {

using targets::InputRule;
using targets::PatternActivation;
using targets::PatternCondition;
using targets::PatternSharing;
using targets::PatternStage;
using targets::PatternSubject;
using targets::PatternTable;
using targets::QuantizationPattern;
using targets::Role;
using Ops = std::vector<std::string_view>;

const Ops kRelu = {"aten.relu.default", "aten.relu_.default"};
const Ops kLinear = {"aten.linear.default"};
const Ops kConv = {"aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default",
                   "aten.conv2d.padding", "aten.conv3d.default", "aten.conv3d.padding"};
const Ops kTransposedConv = {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input",
                             "aten.conv_transpose3d.input"};
const Ops kAdd = {"aten.add.Tensor", "aten.add_.Tensor"};
const Ops kMul = {"aten.mul.Tensor", "aten.mul_.Tensor"};

// What the reference trains as one with a BatchNorm.
const Ops kJoinedConv = {"aten.conv1d.default", "aten.conv2d.default"};
const Ops kJoinedTransposedConv = {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input"};

// What gives its input's grid to its output: values move, or the largest of some stays.
const Ops kPassesOn = {
    "aten.relu.default",      "aten.hardtanh.default",   "aten.hardtanh_.default", "aten.max_pool2d.default",
    "aten.mean.default",      "aten.mean.dim",           "aten.permute.default",   "aten.permute_copy.default",
    "aten.transpose.int",     "aten.squeeze.dim",        "aten.squeeze_copy.dim",  "aten.adaptive_avg_pool2d.default",
    "aten.view.default",      "aten.view_copy.default",  "aten.reshape.default",   "aten.slice.Tensor",
    "aten.slice_copy.Tensor", "aten.flatten.using_ints", "aten.dropout.default",   "aten.dropout_.default"};

// ---- conditions -----------------------------------------------------------------------------------------------------

std::string got(const std::string& what, const std::string& expected, const std::string& found) {
  return octet::str(what, ": expected ", expected, ", got ", found);
}

std::string has_one_group(const PatternSubject& subject) {
  const int64_t groups = conv_info(subject.node).value_or(ConvInfo()).groups;
  return groups == 1 ? "" : got("groups of a transposed convolution", "1", octet::str(groups));
}

// XNNPACK's dynamic kernels are those of a matrix product: no depthwise ones.
std::string has_dynamic_kernel(const PatternSubject& subject) {
  const Node* weight = subject.node.arg("weight").node();
  if (!subject.is_dynamic() || weight == nullptr || !weight->meta()) return "";
  const std::vector<int64_t>& sizes = weight->meta()->sizes;
  if (sizes.size() != 4) return got("dynamic: rank of the weight", "4", octet::str(sizes.size()));
  const bool transposed = subject.node.is(Trait::kTransposed);
  return transposed || sizes[1] != 1 ? "" : got("dynamic: channels of a group", "2 or more", "1");
}

// In one run, the runtime computes wrong where convolutions of different kernel size read one dynamic grid.
std::string shares_no_grid_with_other_kernels(const PatternSubject& subject) {
  const Node* input = subject.node.arg("input").node();
  const Node* weight = subject.node.arg("weight").node();
  if (!subject.is_dynamic() || input == nullptr || weight == nullptr || !weight->meta()) return "";
  const auto kernel = [](const Node& of) { return std::vector<int64_t>(of.sizes().begin() + 2, of.sizes().end()); };
  for (const Node* other : input->users()) {
    const Node* its = other->is(Trait::kConvolution) ? other->arg("weight").node() : nullptr;
    if (its == nullptr || !its->meta() || its->meta()->rank() != 4 || kernel(*its) == kernel(*weight)) continue;
    return octet::str("dynamic: XNNPACK computes wrong where a convolution of another kernel size, '", other->name(),
                      "', reads the same input");
  }
  return "";
}

// In one run, the runtime computes wrong, or refuses, what such a convolution reads with channels first. Looked up anew
// for each: it goes back to the convolutions and pools before.
std::string reads_no_turned_image(const PatternSubject& subject) {
  const Node* input = subject.node.arg("input").node();
  if (!subject.is_dynamic() || input == nullptr || !MemoryOrder().is_turned_back(*input)) return "";
  return octet::str(
      "dynamic: XNNPACK computes wrong what reads '", input->name(),
      "', whose channels do not lie last: a view, a number or fewer dimensions than four stand before it");
}

std::string stands_before_no_relu(const PatternSubject& subject) {
  const Node* reader = sole_user(&subject.node);
  const bool relu = reader != nullptr && std::any_of(kRelu.begin(), kRelu.end(),
                                                     [&](std::string_view op) { return reader->is_call(OpName(op)); });
  return relu && !subject.left_in_float(*reader) ? "no pattern takes it without the relu behind it" : "";
}

// A histogram is kept of float32 alone, and of no number beyond 3.4e15.
std::string reads_float32(const PatternSubject& subject) {
  constexpr double kFarthest = 3.4028235e15;
  for (const size_t index : {size_t{0}, size_t{1}}) {
    const Node* operand = subject.node.arg(index).node();
    if (operand == nullptr) continue;
    if (!operand->meta() || operand->meta()->dtype != at::kFloat) {
      return octet::str("'", operand->name(), "' is no float32 tensor");
    }
    if (!operand->is_get_attr()) continue;
    const at::Tensor& value = subject.module.attr(operand->target());
    if (value.numel() == 1 && std::abs(value.item<double>()) > kFarthest) {
      return got(octet::str("constant '", operand->name(), "'"), "at most 3.4e15", octet::str(value.item<double>()));
    }
  }
  return "";
}

// ---- patterns -------------------------------------------------------------------------------------------------------

QuantizationPattern product(const std::string& name, const Ops& ops, Role weight, int64_t axis,
                            std::vector<PatternCondition> conditions) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = ops;
  pattern.inputs = {{"input"}, {"weight", weight, axis}, {"bias", Role::kBias}};
  pattern.serves_dynamic = true;
  pattern.conditions = std::move(conditions);
  return pattern;
}

QuantizationPattern linear(const std::string& name) { return product(name, kLinear, Role::kLinearWeight, 0, {}); }

QuantizationPattern conv(const std::string& name, const Ops& ops, std::vector<PatternCondition> conditions = {}) {
  return product(name, ops, Role::kConvWeight, 0, std::move(conditions));
}

QuantizationPattern transposed(const std::string& name, const Ops& ops, std::vector<PatternCondition> conditions = {}) {
  return product(name, ops, Role::kTransposedConvWeight, 1, std::move(conditions));
}

QuantizationPattern with_batch_norm(QuantizationPattern pattern) {
  pattern.batch_norm = true;
  pattern.qat_only = true;
  return pattern;
}

QuantizationPattern with_relu(QuantizationPattern pattern, bool serves_dynamic) {
  pattern.activations = {{kRelu}};
  pattern.serves_dynamic = serves_dynamic;
  return pattern;
}

QuantizationPattern binary(const std::string& name, const Ops& ops) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = ops;
  pattern.inputs = {{"self"}, {"other"}};
  pattern.conditions = {reads_float32};
  return pattern;
}

QuantizationPattern sharing(const std::string& name, const Ops& ops, PatternSharing how,
                            std::vector<InputRule> inputs = {}) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = ops;
  pattern.inputs = std::move(inputs);
  pattern.sharing = how;
  return pattern;
}

}  // namespace

PatternTable patterns(bool reference_quirks) {
  const bool mended = !reference_quirks;
  const Ops& joined = mended ? kConv : kJoinedConv;
  const Ops& joined_transposed = mended ? kTransposedConv : kJoinedTransposedConv;
  const auto any_linear = [](const std::string& name) {
    QuantizationPattern pattern = linear(name);
    pattern.claims_parameters = false;
    return pattern;
  };
  PatternTable table;
  table.stages = {{with_relu(with_batch_norm(conv("conv_bn_relu", joined)), true)},
                  {with_batch_norm(conv("conv_bn", joined))},
                  {with_relu(with_batch_norm(transposed("conv_transpose_bn_relu", joined_transposed)), true)},
                  {with_batch_norm(transposed("conv_transpose_bn", joined_transposed))}};
  if (mended) {
    table.stages.push_back({with_relu(with_batch_norm(linear("linear_bn_relu")), true)});
    table.stages.push_back({with_batch_norm(linear("linear_bn"))});
  }
  const PatternStage others[] = {
      {with_relu(linear("linear_relu"), false)},
      {any_linear("linear")},
      {conv("conv", kConv, {has_dynamic_kernel, stands_before_no_relu})},
      {transposed("conv_transpose", kTransposedConv, {has_one_group, has_dynamic_kernel, stands_before_no_relu})},
      {with_relu(
          conv("conv_relu", kConv, {has_dynamic_kernel, shares_no_grid_with_other_kernels, reads_no_turned_image}),
          mended)},
      {with_relu(
          transposed("conv_transpose_relu", kTransposedConv,
                     {has_one_group, has_dynamic_kernel, shares_no_grid_with_other_kernels, reads_no_turned_image}),
          mended)},
      {sharing("adaptive_avg_pool2d", {"aten.adaptive_avg_pool2d.default"}, PatternSharing::kProducerOrOwn)},
      {with_relu(binary("add_relu", kAdd), false)},
      {binary("add", kAdd)},
      {with_relu(binary("mul_relu", kMul), false)},
      {binary("mul", kMul)},
      {sharing("cat", {"aten.cat.default"}, PatternSharing::kInputs, {{"tensors"}})}};
  table.stages.insert(table.stages.end(), std::begin(others), std::end(others));
  table.propagation = {sharing("propagation", kPassesOn, PatternSharing::kProducer)};
  return table;
}

}  // namespace octet::xnnpack
