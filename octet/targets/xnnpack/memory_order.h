#pragma once

#include <unordered_map>

#include "octet/graph/graph.h"

namespace octet::xnnpack {

/// How ExecuTorch's XNNPACK backend holds the images of a program: convolutions and pools give channels last, views and
/// sums with what has other dimensions turn them back. In front of a convolution with a dynamic grid it turns the
/// program's input instead of what the convolution reads (`ChannelsLastTaggedReshapePass` of ExecuTorch 1.5.1).
class MemoryOrder {
 public:
  /// True where it computes `value` with channels first: behind a view, or behind a sum or product with a number or
  /// with a tensor of other dimensions than four. Nodes that quantize and dequantize are looked through. The graph must
  /// stay as it is while this lives.
  bool is_turned_back(const Node& value) { return order_of(value) == Order::kTurnedBack; }

 private:
  enum class Order { kGiven, kLast, kTurnedBack };

  Order order_of(const Node& value);
  Order order_by_inputs(const Node& value) const;

  std::unordered_map<const Node*, Order> known_;
};

}  // namespace octet::xnnpack
