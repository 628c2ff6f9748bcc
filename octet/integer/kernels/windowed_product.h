#pragma once

#include "octet/integer/kernel.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"

namespace octet::integer {

/// The product of every window of an image with constant weights [out, filter height, filter width, in]: CONV_2D, and
/// FULLY_CONNECTED as a window of one pixel. The window must be a reasonable one.
Kernel make_windowed_product(const KernelContext& context, const Window& window, const Requantizer& requantize);

}  // namespace octet::integer
