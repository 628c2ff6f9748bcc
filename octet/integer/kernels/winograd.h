#pragma once

#include "octet/integer/kernel.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"

namespace octet::integer {

/// True where make_winograd_product takes the window, and is the faster way: 3x3 windows side by side, whole registers
/// of channels, a path that multiplies 16 bits by 16 anyway.
bool suits_winograd(const KernelContext& context, const Window& window);

/// CONV_2D with 4/9 of the products, to the same bits. Winograd's F(2x2, 3x3) (Lavin and Gray, 2015) computes 2x2
/// results from 4x4 pixels d and 3x3 weights g: A^T ((G g G^T) * (B^T d B)) A, with a product for each of 16 places
/// instead of 36. Twice G is whole: in integers the results come out exactly, four times too large. Places of d need 10
/// bits, those of g 12.
Kernel make_winograd_product(const KernelContext& context, const Window& window, const Requantizer& requantize);

}  // namespace octet::integer
