#include "octet/quantize/range_meeting.h"

#include <ATen/ATen.h>

#include <limits>

#include "octet/support/error.h"

namespace octet {
namespace {

struct Gathers {
  RangeMeeting::Gather greatest, sum;
};

Gathers& standing() {
  static Gathers gathers;
  return gathers;
}

}  // namespace

RangeMeeting::RangeMeeting(Gather greatest, Gather sum) {
  if (ranges_meet()) throw Error("RangeMeeting", "one stands already");
  standing() = {std::move(greatest), std::move(sum)};
}

RangeMeeting::~RangeMeeting() { standing() = {}; }

bool ranges_meet() { return static_cast<bool>(standing().greatest); }

void meet_greatest(const at::Tensor& values) {
  if (ranges_meet()) standing().greatest(values);
}

void meet_sum(const at::Tensor& values) {
  if (ranges_meet()) standing().sum(values);
}

void meet(at::Tensor& low, at::Tensor& high) {
  if (!ranges_meet()) return;
  const at::Tensor both = at::stack({-low, high});
  meet_greatest(both);
  low = -both[0];
  high = both[1];
}

void meet(SeenRange& seen) {
  if (!ranges_meet()) return;
  const float nothing = -std::numeric_limits<float>::infinity();
  if (!seen.low.defined()) {
    seen.low = at::full({}, -nothing, seen.elements.options());
    seen.high = at::full({}, nothing, seen.elements.options());
  }
  meet(seen.low, seen.high);
  if (seen.high.item<float>() == nothing) seen.low = seen.high = at::Tensor();  // nobody has
}

}  // namespace octet
