#pragma once

#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Runs a prepared model on every sample, so that its observers and fake quantizers find their ranges.
///
/// After training that is all. For training, an average that goes by runs (Averaging::kEachRun) would follow its first
/// sample by a hundredth a step; it starts from the whole set instead: from the range of least error over all samples
/// (HistogramObserver) of the values that the float model computes. The model is in eval mode meanwhile, and nothing is
/// rounded. Training goes on from there. Averages of the other kind and all other observers see sample after sample.
///
/// `samples`: each holds one tensor for each input. Throws octet::Error naming the sample, and the input, the parameter
/// or the node that gives the first NaN.
OCTET_API void calibrate(GraphModule& prepared, const std::vector<std::vector<at::Tensor>>& samples);

/// True where a prepared model waits for data: an observer of a computed value has seen none. Weights alone, and grids
/// that each run finds or that are known beforehand, need none.
OCTET_API bool needs_calibration(const GraphModule& prepared);

}  // namespace octet
