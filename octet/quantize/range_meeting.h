#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "octet/quantize/reading.h"
#include "octet/support/api.h"

namespace octet {

/// While one stands, what observers see of a tensor is what several processes see together: its range, and how many
/// elements lie in each bin of a histogram. `greatest` makes of each element the greatest of all processes, `sum` their
/// sum, in place; each process observes the same tensors in the same order.
class OCTET_API RangeMeeting {
 public:
  using Gather = std::function<void(const at::Tensor& values)>;
  RangeMeeting(Gather greatest, Gather sum);
  ~RangeMeeting();
  RangeMeeting(const RangeMeeting&) = delete;
  RangeMeeting& operator=(const RangeMeeting&) = delete;
};

/// For observers: what they have seen becomes what all have seen, the elements excepted. Once for each tensor, whatever
/// its range: the others wait for it.
void meet(SeenRange& seen);
/// The same of ranges, of channels too: float32 tensors of one shape.
void meet(at::Tensor& low, at::Tensor& high);
/// The greatest of each element that any process has, in place; alone it stays.
void meet_greatest(const at::Tensor& values);
/// The sum of each element over all processes, in place; alone it stays.
void meet_sum(const at::Tensor& values);
/// True while a RangeMeeting stands.
bool ranges_meet();

}  // namespace octet
