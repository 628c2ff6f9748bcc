#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "octet/graph/node.h"
#include "octet/support/api.h"

/// What a resize reads: PyTorch's goes by the scale that it is given, `interpolate(scale_factor=1.6)`, where TFLite's
/// knows the sizes of input and result alone.
namespace octet::lowering {

/// True where a resize of images by `scale_factors` reads what one between the same sizes does: always without such
/// factors, and with those that divide the sizes. Found by running it.
OCTET_API bool resizes_by_sizes(const Node& resize);

/// The row, and the column, of the input that each of the result is: of a resize to the nearest.
std::array<std::vector<int64_t>, 2> nearest_places(const Node& resize);

}  // namespace octet::lowering
