#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/targets/engine/placement/check.h"

namespace octet::report {

/// An object a warning: "where", "text", "way_out".
nlohmann::ordered_json warnings_json(const std::vector<targets::Warning>& warnings);

/// One input size, and what came of it.
struct SizeCheck {
  std::string size;  ///< as it was asked for; empty: the exported one
  std::optional<targets::Check> check;
  std::string error;  ///< why it does not run at this size, where there is no check
};

/// What runs on the accelerator and why the rest does not: of one input size operator by operator, of several a row a
/// size.
struct OCTET_API CheckReport {
  std::string target;
  std::vector<SizeCheck> sizes;
  /// Of a .tflite that computes in float: what quantizing it would put where.
  std::optional<targets::Check> quantized = std::nullopt;
  /// Of a float model that has something to weigh (Setting::weighed), which is placed in the forms that bring more of
  /// it over.
  struct Weighed {
    std::string flags;     ///< "--gelu tanh --norms integer"
    targets::Check exact;  ///< where the calibration of quantize decides against them
  };
  std::optional<Weighed> weighed = std::nullopt;

  std::string text() const;
  /// Of one size an object, of several an array of them.
  nlohmann::ordered_json json() const;
};

}  // namespace octet::report
