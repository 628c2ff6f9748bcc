#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "octet/lowering/program.h"

namespace octet::lowering {

/// Cuts what lies so far from a grid that TFLite's QUANTIZE wraps around: it rounds value / scale into an int32 and
/// adds the zero point to that, so that -inf comes out as the highest level. Such values are constants in the float
/// operators before it: masks of -inf, -1e9, float32's least.
class FarValues {
 public:
  explicit FarValues(Program& program) : program_(program) {}
  /// `value`, float32, with what may lie so far cut to the grid's ends.
  ValueId within_reach(ValueId value, const Grid& grid);

 private:
  struct Extremes {
    float least = 0, greatest = 0;
  };
  // Of the constants in the float operators that compute it, as far as to those that read levels.
  const Extremes& constants_behind(ValueId value);
  Extremes from_inputs(ValueId value) const;
  std::vector<ValueId> float_sources(ValueId value) const;

  Program& program_;
  std::unordered_map<int32_t, Extremes> known_;
};

}  // namespace octet::lowering
