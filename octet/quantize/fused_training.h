#pragma once

#include <optional>

#include "octet/graph/fused_steps.h"

namespace octet {

/// The steps in front of a fake quantizer (`node` calls it) that one pass computes with it, of a program in training:
///
///     QatConvBn [-> activation] -> fake quantizer       one read for statistics and range, one to normalize and round
///     add [-> activation] -> fake quantizer
///     activation -> fake quantizer
///
/// with relu, relu6, hardtanh or clamp, and one grid for the whole tensor. Nothing else reads the values in between.
/// Once BatchNorm statistics are frozen, and in eval mode, the convolution runs as it did and the rest is the third
/// form. Where tensors are no float32 of the CPU, where the rounding is off, and with OCTET_REFERENCE=1, the steps run
/// one by one.
std::optional<FusedGroup> fuse_training_steps(const GraphModule& module, const Node& node);

}  // namespace octet
