#include "octet/quantize/range_meeting.h"

#include <ATen/ATen.h>

#include <limits>

#include "octet/support/error.h"

namespace octet {
namespace {

RangeMeeting::Greatest& greatest_of_all() {
  static RangeMeeting::Greatest greatest;
  return greatest;
}

}  // namespace

RangeMeeting::RangeMeeting(Greatest greatest) {
  if (greatest_of_all()) throw Error("RangeMeeting", "one stands already");
  greatest_of_all() = std::move(greatest);
}

RangeMeeting::~RangeMeeting() { greatest_of_all() = nullptr; }

bool ranges_meet() { return static_cast<bool>(greatest_of_all()); }

void meet(SeenRange& seen) {
  if (!ranges_meet()) return;
  const float nothing = -std::numeric_limits<float>::infinity();
  const bool has_any = seen.elements.numel() > 0;
  at::Tensor both = has_any ? at::stack({-seen.low, seen.high}) : at::full({2}, nothing);
  greatest_of_all()(both);
  if (both.eq(nothing).any().item<bool>()) return;  // nobody has
  seen.low = -both[0];
  seen.high = both[1];
  if (!has_any) seen.elements = both;
}

}  // namespace octet
