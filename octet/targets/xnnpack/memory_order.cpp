#include "octet/targets/xnnpack/memory_order.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "octet/quantize/qdq.h"

namespace octet::xnnpack {
namespace {

using Ops = std::vector<std::string_view>;

// Give channels last, whatever they read.
const Ops kGiveLast = {"aten.max_pool2d.default", "aten.avg_pool2d.default",      "aten.adaptive_avg_pool2d.default",
                       "aten.mean.dim",           "aten.upsample_bilinear2d.vec", "aten.prelu.default"};

// Read channels first.
const Ops kViews = {"aten.view.default",          "aten.reshape.default",         "aten.flatten.using_ints",
                    "aten.squeeze.dim",           "aten.unsqueeze.default",       "aten.linear.default",
                    "aten.pixel_shuffle.default", "aten.pixel_unshuffle.default", "aten.channel_shuffle.default"};

// Of two values in one order.
const Ops kBinary = {"aten.add.Tensor",      "aten.add_.Tensor",    "aten.sub.Tensor", "aten.rsub.Scalar",
                     "aten.mul.Tensor",      "aten.mul_.Tensor",    "aten.div.Tensor", "aten.add.Scalar",
                     "aten.sub.Scalar",      "aten.mul.Scalar",     "aten.div.Scalar", "aten.rsub.Tensor",
                     "aten.maximum.default", "aten.minimum.default"};

// The backend adds and divides by numbers.
const Ops kOfNumbers = {"aten.hardsigmoid.default", "aten.hardsigmoid_.default"};

// In the order of what they read.
const Ops kKeepOrder = {"aten.relu.default",       "aten.relu_.default",      "aten.relu6.default",
                        "aten.hardtanh.default",   "aten.hardtanh_.default",  "aten.clamp.default",
                        "aten.clamp_min.default",  "aten.clamp_max.default",  "aten.sigmoid.default",
                        "aten.sigmoid_.default",   "aten.tanh.default",       "aten.hardswish.default",
                        "aten.hardswish_.default", "aten.leaky_relu.default", "aten.leaky_relu_.default",
                        "aten.elu.default",        "aten.gelu.default",       "aten.silu.default",
                        "aten.silu_.default",      "aten.abs.default",        "aten.neg.default",
                        "aten.exp.default",        "aten.log.default",        "aten.sqrt.default",
                        "aten.rsqrt.default",      "aten.square.default",     "aten.pow.Tensor_Scalar",
                        "aten.sin.default",        "aten.cos.default",        "aten.ceil.default",
                        "aten.floor.default",      "aten.softmax.int",        "aten.cat.default",
                        "aten.slice.Tensor",       "aten.permute.default",    "aten.transpose.int",
                        "aten.dropout.default",    "aten.dropout_.default",   "aten.constant_pad_nd.default",
                        "aten.pad.default"};

bool is_one_of(const Ops& ops, const Node& node) {
  return std::any_of(ops.begin(), ops.end(), [&](std::string_view op) { return node.is_call(OpName(op)); });
}

bool is_image(const Node& node) { return node.meta() && node.meta()->rank() == 4; }

bool is_looked_through(const Node& node) { return node.is(Trait::kQuantize) || node.is(Trait::kDequantize); }

bool is_sum_or_such(const Node& node) { return is_one_of(kBinary, node) || is_one_of(kOfNumbers, node); }

// In place of a second tensor.
bool reads_number(const Node& node) {
  return is_one_of(kOfNumbers, node) || (node.inputs().size() == 1 && !node.arg(size_t{1}).is_node());
}

// The values whose order decides that of the node's.
std::vector<Node*> deciding_inputs(const Node& node) {
  if (!node.is_call()) return {};
  if (is_looked_through(node)) return {node.arg(size_t{0}).node()};
  return is_sum_or_such(node) || is_one_of(kKeepOrder, node) ? node.inputs() : std::vector<Node*>();
}

}  // namespace

MemoryOrder::Order MemoryOrder::order_of(const Node& value) {
  std::vector<const Node*> open = {&value};
  while (!open.empty()) {
    const Node* node = open.back();
    const size_t before = open.size();
    for (const Node* input : deciding_inputs(*node)) {
      if (known_.count(input) == 0) open.push_back(input);
    }
    if (open.size() > before) continue;
    known_.emplace(node, order_by_inputs(*node));
    open.pop_back();
  }
  return known_.at(&value);
}

// What no list names is left outside of XNNPACK, and what reads it begins anew.
MemoryOrder::Order MemoryOrder::order_by_inputs(const Node& value) const {
  if (!value.is_call()) return Order::kGiven;
  if (is_image(value) && (value.is(Trait::kConvolution) || is_one_of(kGiveLast, value))) return Order::kLast;
  if (is_one_of(kViews, value)) return Order::kTurnedBack;
  const std::vector<Node*> inputs = deciding_inputs(value);
  const auto reads = [&](Order order) {
    return std::any_of(inputs.begin(), inputs.end(), [&](const Node* input) { return known_.at(input) == order; });
  };
  const bool all_images = std::all_of(inputs.begin(), inputs.end(), [](const Node* input) { return is_image(*input); });
  if (is_sum_or_such(value) && (!all_images || reads_number(value))) return Order::kTurnedBack;
  if (!reads(Order::kLast)) return reads(Order::kTurnedBack) ? Order::kTurnedBack : Order::kGiven;
  return is_looked_through(value) || (is_image(value) && all_images) ? Order::kLast : Order::kTurnedBack;
}

}  // namespace octet::xnnpack
