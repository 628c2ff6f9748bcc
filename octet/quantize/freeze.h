#pragma once

#include <memory>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// A prepared model as a program of PyTorch's own operators, without a submodule: what write_pt2 can hold. A copy in
/// eval mode that computes what `prepared` does in eval mode with its observers off (`apply(disable_observer)`).
///
/// Observers vanish. Fake quantizers become aten.fake_quantize_per_tensor_affine or _per_channel_affine with the grid
/// that they have now, and vanish where they are switched off or saw no data. A simulated conv-bn becomes one
/// convolution with the BatchNorm folded in. Counters of training steps go. Equal to the bit, but for int32 grids at
/// their very ends, where octet clips to the last float32 below 2^31.
///
/// PyTorch runs such a program, but its run_decompositions has no rule for the fake quantizers' inner operator.
///
/// A float or a converted model comes back as a copy in eval mode. Throws octet::Error naming the node for a submodule
/// that is no observer, and for grids whose zero points are no integers (float_qparams).
OCTET_API std::shared_ptr<GraphModule> frozen(const GraphModule& prepared);

}  // namespace octet
