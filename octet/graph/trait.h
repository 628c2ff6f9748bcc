#pragma once

#include <cstdint>
#include <string_view>

#include "octet/support/api.h"

namespace octet {

/// What an operator is beyond its schema: each question that several rooms ask has its one answer here, in trait.cpp.
enum class Trait : uint32_t {
  kDecomposed = 1U << 0,   ///< of quantized_decomposed: how a converted program says its grids, no work of the model
  kQuantize = 1U << 1,     ///< float to integers on a grid, in any granularity and overload
  kDequantize = 1U << 2,   ///< the way back
  kBatchNorm = 1U << 3,    ///< in any dialect
  kGivesTuple = 1U << 4,   ///< a BatchNorm whose result is element 0, beside its statistics
  kConvolution = 1U << 5,  ///< in one to three dimensions, also transposed
  kTransposed = 1U << 6,   ///< a convolution that is always transposed
  kLinear = 1U << 7,
  kView = 1U << 8,             ///< other sizes, given as argument 1, for the same elements
  kRandom = 1U << 9,           ///< draws from the generator
  kReadsByStrides = 1U << 10,  ///< finds elements by strides that are written in the program
};

/// The bits of the table's rows that name "aten.conv2d.padding", its packet or its namespace.
OCTET_API uint32_t traits_of(std::string_view op);

}  // namespace octet
