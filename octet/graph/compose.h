#pragma once

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Puts together again what torch.export's run_decompositions() takes apart or names otherwise: `convolution` is
/// `conv2d`, `_native_batch_norm_legit_no_training` `batch_norm`, `native_layer_norm` `layer_norm`, `_softmax`
/// `softmax`, `max_pool2d_with_indices` without its indices `max_pool2d`, `addmm` of a turned weight `linear`, ...: the
/// operators that quantizers know. The same values for the same inputs. What does not fit stays. Returns how many were.
OCTET_API size_t compose_operators(GraphModule& module);

/// Names operators that every export has as those that quantizers know: `linalg_norm` of vectors is
/// `linalg_vector_norm`. Returns how many were.
OCTET_API size_t compose_synonyms(GraphModule& module);

}  // namespace octet
