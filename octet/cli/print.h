#pragma once

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/support/json_text.h"

namespace octet::cli {

/// A report (octet/report) on stdout, as text or as JSON.
template <typename Report>
void print(const Report& report, bool json) {
  std::cout << (json ? json_text(report.json(), 2) + '\n' : report.text());
}

}  // namespace octet::cli
