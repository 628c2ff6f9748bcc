#pragma once

#include <cstdint>

namespace octet::integer {

/// sum of a[i] * b[i] in int32, wrapping as the machines do. The same bits on every instruction set; the widest that
/// the CPU has is taken.
int32_t dot(const int8_t* a, const int8_t* b, int64_t count);

}  // namespace octet::integer
