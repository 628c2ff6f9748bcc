#pragma once

#include <cstdint>

#include "octet/kernels/windows.h"

namespace octet {

/// weight[o] = sum over pixels p of window(p) of x times y[p][o], for the pixels of all images: the gradient of a dense
/// convolution's weight [filters][filter_height][filter_width][channels], overwritten, from x and the gradient
/// y [pixels][filters] of its result. No window is copied: x is read where it lies, framed strip by strip.
void window_gradient(const WindowShape& shape, int64_t images, int64_t filters, const float* x, const float* y,
                     float* weight);

}  // namespace octet
