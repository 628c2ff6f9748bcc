#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "octet/quantize/reading.h"
#include "octet/support/api.h"

namespace octet {

/// While one stands, the ranges that observers see of a tensor are those of several processes together. `greatest`
/// makes of each element the greatest of all processes, in place; each process observes the same tensors in the same
/// order.
class OCTET_API RangeMeeting {
 public:
  using Greatest = std::function<void(const at::Tensor& values)>;
  explicit RangeMeeting(Greatest greatest);
  ~RangeMeeting();
  RangeMeeting(const RangeMeeting&) = delete;
  RangeMeeting& operator=(const RangeMeeting&) = delete;
};

/// For observers: what they have seen becomes what all have seen. Once for each tensor, whatever its range: the others
/// wait for it.
void meet(SeenRange& seen);
/// True while a RangeMeeting stands.
bool ranges_meet();

}  // namespace octet
