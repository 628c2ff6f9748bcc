#pragma once

#include <vector>

#include "octet/support/api.h"
#include "octet/targets/engine/placement/memory_estimate.h"
#include "octet/targets/engine/placement/placement.h"
#include "octet/targets/engine/placement/warnings.h"
#include "octet/targets/engine/table_quantizer.h"

namespace octet::targets {

struct Check {
  Placement placement;
  std::vector<Warning> warnings;
  MemoryEstimate memory;
  bool scales_known = false;
  std::vector<std::vector<int64_t>> input_sizes;
};

/// What will run on the NPU. A quantized model is placed as it is, and so is what a .tflite holds (graph_of): what that
/// computes in float is on the CPU. A float model is quantized with `quantizer` on grids that stand for those that
/// calibration will find: what depends on their values comes as conditions. `input_sizes`: of each input, in place of
/// the exported ones; empty: those. The model stays as it is. Throws octet::Error where the model does not run at these
/// sizes.
OCTET_API Check check_model(const GraphModule& model, TableQuantizer& quantizer,
                            const std::vector<std::vector<int64_t>>& input_sizes = {});

}  // namespace octet::targets
