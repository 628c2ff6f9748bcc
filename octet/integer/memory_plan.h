#pragma once

#include <cstdint>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/support/api.h"

namespace octet::integer {

/// Where every computed tensor lies in one arena: tensors that are never alive at the same step share bytes.
struct MemoryPlan {
  std::vector<int64_t> offsets;      ///< of each tensor; -1 for constants
  int64_t arena_bytes = 0;           ///< of the plan
  int64_t peak_bytes = 0;            ///< most bytes alive at one step: no plan needs less
  int64_t peak_step = -1;            ///< the first operator at which they are; -1: there is none
  std::vector<int32_t> at_peak;      ///< the tensors alive there, largest first
  std::vector<int64_t> alive_bytes;  ///< at each operator
};

/// Greedy by size, largest first, each as low as it goes. Offsets are multiples of `alignment`, by default the
/// device's. Inputs live from the start, results to the end.
OCTET_API MemoryPlan plan_memory(const tflite::Model& model, int64_t alignment = 16);

/// Bytes of weights, biases and other constants: what lies in flash.
OCTET_API int64_t constant_bytes(const tflite::Model& model);

}  // namespace octet::integer
