#pragma once

#include <functional>
#include <optional>
#include <string>

#include "octet/targets/neutron/target_spec.h"

namespace octet::neutron {

class OperatorView;

/// Why the NPU does not take an operator.
struct Refusal {
  std::string what;      ///< "channels"
  std::string expected;  ///< "<= 2040"
  std::string got;       ///< "3000"
  std::string way_out;   ///< empty where there is none
};

/// One requirement of the target on an operator.
struct Constraint {
  /// As the operator table shows it: "channels <= 2040".
  std::function<std::string(const NeutronLimits&)> text;
  /// nullopt where it holds.
  std::function<std::optional<Refusal>(const OperatorView&)> check;
  /// True where the answer depends on scales: before calibration it is a condition, not a refusal.
  bool needs_scales = false;
};

}  // namespace octet::neutron
