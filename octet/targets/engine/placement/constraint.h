#pragma once

#include <functional>
#include <optional>
#include <string>

namespace octet::targets {

class OperatorView;

/// Why a target does not take an operator.
struct Refusal {
  std::string what;      ///< "channels"
  std::string expected;  ///< "<= 2040"
  std::string got;       ///< "3000"
  std::string way_out;   ///< empty where there is none
};

/// One requirement of a target on an operator; made with the target's limits in it.
struct Constraint {
  std::string text;  ///< as the operator table shows it: "channels <= 2040"
  /// nullopt where it holds.
  std::function<std::optional<Refusal>(const OperatorView&)> check;
  /// True where the answer depends on scales: before calibration it is a condition, not a refusal.
  bool needs_scales = false;
};

}  // namespace octet::targets
