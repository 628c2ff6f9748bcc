#pragma once

#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/compare.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/warning.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// Of a quantized program: values cut off by a narrower grid (fixed ranges of mul), accumulators that may leave int32,
/// channels whose weights are all zero, channels of one per-tensor grid that differ by more than 100 times, grids of
/// observers that saw no data or a constant; and what the target itself warns of. `scales_known` false (before
/// calibration): a fixed grid is named where it may cut. What is fixed, and the smallest scale, the target's first
/// scheme says, under any of its settings.
OCTET_API std::vector<Warning> find_warnings(const GraphModule& quantized, const Target& target,
                                             bool scales_known = true);

/// Where the grids that were chosen ruin a value, by value_losses(): more than a hundredth of it is cut off, or an
/// operator alone keeps less than 10 dB of SQNR, that its inputs do not lack already. With the cause and a way out.
OCTET_API std::vector<Warning> loss_warnings(const std::vector<ValueLoss>& losses, const Target& target);

}  // namespace octet::targets
