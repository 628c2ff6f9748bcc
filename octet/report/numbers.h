#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/support/bytes_text.h"

namespace octet::report {

/// A number with `digits` behind the point.
OCTET_API std::string fixed(double value, int digits);
using octet::bytes_text;
/// A signal to noise ratio; "equal" where it is infinite.
OCTET_API std::string decibel_text(double sqnr, int digits);
/// "1 partition", "2 partitions"
OCTET_API std::string count_text(int64_t number, const std::string& noun);
/// "37.5 %"; "-" of nothing.
OCTET_API std::string share_text(int64_t part, int64_t whole);
/// Multiply-accumulates: "640 MACs", "12.50 M MACs"
OCTET_API std::string macs_text(int64_t macs);
/// "[1, 3, 224, 224]"
OCTET_API std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace octet::report
