#pragma once

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet::lowering {

enum class ComplexSources {
  kViews,   ///< pairs of real numbers that are viewed as complex ones, as rotary embeddings do
  kSpectra  ///< Fourier transforms too, as products with cosines and sines
};

/// What reads complex values as real ones (view_as_real, real, imag, abs, angle) computes from their two parts instead,
/// where all in between has a form on parts: products, sums, views, moves. TFLite has no complex numbers, nor do NPUs.
/// Values need their metas; complex128 is left as it is. Returns whether the graph changed.
OCTET_API bool decompose_complex(GraphModule& module, ComplexSources sources);

}  // namespace octet::lowering
