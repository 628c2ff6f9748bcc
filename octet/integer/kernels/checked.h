#pragma once

#include "octet/integer/kernel.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"

/// The products one number after the other, as the reference kernels compute them: slow, but every accumulator is seen.
namespace octet::integer {

/// CONV_2D, or DEPTHWISE_CONV_2D where each channel of the image has its own `multiplier` filters (0: CONV_2D); with
/// the image at input 2 TRANSPOSE_CONV.
Kernel make_plain_convolution(const KernelContext& context, const Window& window, const Requantizer& requantize,
                              int64_t multiplier, size_t image = 0);
/// FULLY_CONNECTED.
Kernel make_plain_rows(const KernelContext& context, int64_t depth, const Requantizer& requantize);

}  // namespace octet::integer
