#pragma once

#include <string>
#include <vector>

#include "octet/quantize/compare.h"
#include "octet/quantize/value_study.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/warnings.h"

namespace octet::report {

/// A layer's noise, what probably makes it, and what helps.
struct LayerDiagnosis {
  std::string name;
  std::string op;
  double sqnr_db = 0;   ///< in the run of the whole model
  double alone_db = 0;  ///< with exact inputs; infinite where unknown or equal
  std::string cause;    ///< empty where there is nothing to say
  std::string cure;
};

/// Worst first. What octet warns of at a layer is its cause; else what its numbers show: values cut off, a range that a
/// few outliers stretch, too few levels, weights at the ends of their grid, a shift, noise that its inputs bring.
OCTET_API std::vector<LayerDiagnosis> diagnose(const Comparison& comparison, const std::vector<ValueLoss>& losses,
                                               const std::vector<ValueStudy>& studies,
                                               const std::vector<targets::Warning>& warnings);

}  // namespace octet::report
