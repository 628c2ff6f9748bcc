#pragma once

#include "octet/lowering/program.h"

namespace octet::lowering {

/// `value`, float32, with what may lie so far from the grid that TFLite's QUANTIZE wraps around cut to the grid's ends:
/// it rounds value / scale into an int32 and adds the zero point to that, so that -inf comes out as the highest level.
/// Such values are constants in the float operators before it: masks of -inf, -1e9, float32's least.
ValueId within_reach(Program& program, ValueId value, const Grid& grid);

}  // namespace octet::lowering
