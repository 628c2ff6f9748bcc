#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "octet/lowering/verify.h"
#include "octet/quantize/compare.h"
#include "octet/support/api.h"

namespace octet::report {

/// A quantized model beside the float one.
struct OCTET_API ComparisonReport {
  Comparison found;

  std::string text() const;
  /// Ratios are null where the values are equal: JSON has no infinity.
  nlohmann::ordered_json json() const;
};

/// A .tflite in integers beside the model that it was written of.
struct OCTET_API VerificationReport {
  Verification found;

  std::string text() const;
  nlohmann::ordered_json json() const;
};

}  // namespace octet::report
