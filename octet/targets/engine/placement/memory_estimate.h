#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/warnings.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// What a network takes of a device's memory. An estimate: of the int8 program as octet would run it, tensor by tensor;
/// the vendor's compiler cuts operators into tiles and joins others.
struct MemoryEstimate {
  struct Tensor {
    std::string name;
    std::vector<int64_t> shape;  ///< as it lies in memory, images NHWC
    int64_t bytes = 0;
  };
  int64_t arena_bytes = 0;      ///< of all activations, laid out greedily
  int64_t peak_bytes = 0;       ///< most alive at one operator: no layout needs less
  int64_t constant_bytes = 0;   ///< weights, biases and tables, in flash
  int64_t on_chip_bytes = 0;    ///< the target's RAM; 0: not known
  std::string peak_at;          ///< the operator with the most alive
  std::vector<Tensor> at_peak;  ///< alive there, largest first
  std::string missing;          ///< why there is no estimate; empty where there is one

  bool is_known() const { return missing.empty(); }
  bool fits() const { return on_chip_bytes == 0 || arena_bytes <= on_chip_bytes; }
};

/// Of a converted program, at the sizes that its nodes carry.
OCTET_API MemoryEstimate estimate_memory(const GraphModule& converted, const Target& target);

/// Where the activations do not fit the chip: what takes the most, and what to shrink.
OCTET_API std::vector<Warning> memory_warnings(const MemoryEstimate& memory, const Target& target);

}  // namespace octet::targets
